"""QQP with 1000 training examples, Re-init (the paper's Table 1).

python -m stablefit.main --config=configs/qqp_1k_reinit.py --config.data_dir=DIR --config.seeds=$(seq -s, 0 19)

`--config=qqp:examples=1000,method=reinit,layers=3` is the same.
Steps and the paper's numbers: stablefit/configs/expected.py.
"""

from stablefit.configs.named import named

get_config = named("qqp_1k_reinit")
