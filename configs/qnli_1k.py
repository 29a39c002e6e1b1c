"""QNLI with 1000 training examples, Standard (the paper's Table 1).

python -m stablefit.main --config=configs/qnli_1k.py --config.data_dir=DIR --config.seeds=$(seq -s, 0 19)

`--config=qnli:examples=1000` is the same.
Steps and the paper's numbers: stablefit/configs/expected.py.
"""

from stablefit.configs.named import named

get_config = named("qnli_1k")
