"""CCKS 2020 after MSRA, news with people, places and organisations, as the intermediate task.

python -m stablefit.main --config=configs/ccks_intermediate.py --config.data_dir=DIR

`--config=ccks:method=intermediate` is the same.
Steps and the paper's numbers: stablefit/configs/expected.py.
"""

from stablefit.configs.named import named

get_config = named("ccks_intermediate")
