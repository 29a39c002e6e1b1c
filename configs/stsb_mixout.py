"""STS-B, mixout in place of dropout (the paper's Table 2, Mixout).

python -m stablefit.main --config=configs/stsb_mixout.py --config.data_dir=DIR --config.seeds=$(seq -s, 0 19)

One point of the paper's grid, mixout_rate 0.1, 0.3, 0.5, 0.7, 0.9, that of its released command; the number is of the
best point on validation. The released code also has --config.mixout_gradient=official.

540 steps of 32 examples a seed.
Paper: Spearman 89.2 +- 0.4, 20 seeds.
Ours: not run yet.
"""

from configs import base, stsb


def get_config(arg: str = ""):
    config = stsb.get_config()
    config.mixout_rate = 0.1
    config.dropout = 0.0
    return base.with_argument(config, arg)
