"""MRPC, the top 6 blocks and the pooler re-initialised (the paper's Table 2, Re-init).

python -m stablefit.main --config=configs/mrpc_reinit6.py --config.data_dir=DIR --config.seeds=$(seq -s, 0 19)

`--config=mrpc:method=reinit,layers=6` is the same.
Steps and the paper's numbers: stablefit/configs/expected.py.
"""

from stablefit.configs.named import named

get_config = named("mrpc_reinit6")
