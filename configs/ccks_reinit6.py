"""CCKS 2020, the top 6 blocks re-initialised; there is no pooler.

python -m stablefit.main --config=configs/ccks_reinit6.py --config.data_dir=DIR

`--config=ccks:method=reinit,layers=6` is the same.
Steps and the paper's numbers: stablefit/configs/expected.py.
"""

from stablefit.configs.named import named

get_config = named("ccks_reinit6")
