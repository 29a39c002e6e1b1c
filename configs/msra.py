"""MSRA, Chinese news with people, places and organisations: BERT and a CRF, the official test set.

python -m stablefit.main --config=configs/msra.py --config.data_dir=DIR

Steps and the paper's numbers: stablefit/configs/expected.py.
"""

from stablefit.configs.named import named

get_config = named("msra")
