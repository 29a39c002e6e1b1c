"""MRPC, trained longer (the paper's Table 2, Longer).

python -m stablefit.main --config=configs/mrpc_longer.py --config.data_dir=DIR --config.seeds=$(seq -s, 0 19)

`--config=mrpc:method=longer` is the same.
Steps and the paper's numbers: stablefit/configs/expected.py.
"""

from stablefit.configs.named import named

get_config = named("mrpc_longer")
