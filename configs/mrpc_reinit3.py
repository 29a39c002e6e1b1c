"""MRPC, the top 3 blocks and the pooler re-initialised (the paper's Table 2, Re-init).

python -m stablefit.main --config=configs/mrpc_reinit3.py --config.data_dir=DIR --config.seeds=$(seq -s, 0 19)

`--config=mrpc:method=reinit,layers=3` is the same.
Steps and the paper's numbers: stablefit/configs/expected.py.
"""

from stablefit.configs.named import named

get_config = named("mrpc_reinit3")
