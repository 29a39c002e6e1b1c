"""RTE, Standard: debiased Adam, 3 epochs (the paper's Table 2).

python -m stablefit.main --config=configs/rte.py --config.data_dir=DIR --config.seeds=$(seq -s, 0 19)

234 steps of 32 examples a seed.
Paper: accuracy 69.5 +- 2.5, 20 seeds.
Ours: not run yet.
"""

from configs import base


def get_config(arg: str = ""):
    config = base.get_config()
    config.task = "rte"
    return base.with_argument(config, arg)
