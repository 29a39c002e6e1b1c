"""MNLI with 1000 training examples, Re-init (the paper's Table 1).

python -m stablefit.main --config=configs/mnli_1k_reinit.py --config.data_dir=DIR --config.seeds=$(seq -s, 0 19)

`--config=mnli:examples=1000,method=reinit,layers=5` is the same.
Steps and the paper's numbers: stablefit/configs/expected.py.
"""

from stablefit.configs.named import named

get_config = named("mnli_1k_reinit")
