"""STS-B, Standard: debiased Adam, 3 epochs (the paper's Table 2).

python -m stablefit.main --config=configs/stsb.py --config.data_dir=DIR --config.seeds=$(seq -s, 0 19)

540 steps of 32 examples a seed.
Paper: Spearman 89.0 +- 0.6, 20 seeds.
Ours: not run yet.
"""

from configs import base


def get_config(arg: str = ""):
    config = base.get_config()
    config.task = "stsb"
    return base.with_argument(config, arg)
