"""CCKS 2020, entities in Chinese military texts: BERT and a CRF on 400 documents, in five folds.

python -m stablefit.main --config=configs/ccks.py --config.data_dir=DIR

Steps and the paper's numbers: stablefit/configs/expected.py.
"""

from stablefit.configs.named import named

get_config = named("ccks")
