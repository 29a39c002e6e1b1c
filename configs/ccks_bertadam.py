"""CCKS 2020 without Adam's bias correction.

python -m stablefit.main --config=configs/ccks_bertadam.py --config.data_dir=DIR

`--config=ccks:method=bertadam` is the same.
Steps and the paper's numbers: stablefit/configs/expected.py.
"""

from stablefit.configs.named import named

get_config = named("ccks_bertadam")
