"""MRPC, Standard: debiased Adam, 3 epochs (the paper's Table 2).

python -m stablefit.main --config=configs/mrpc.py --config.data_dir=DIR --config.seeds=$(seq -s, 0 19)

345 steps of 32 examples a seed.
Paper: F1 90.8 +- 1.3, 20 seeds.
Ours: not run yet.
"""

from configs import base


def get_config(arg: str = ""):
    config = base.get_config()
    config.task = "mrpc"
    return base.with_argument(config, arg)
