"""STS-B, trained longer (the paper's Table 2, Longer).

python -m stablefit.main --config=configs/stsb_longer.py --config.data_dir=DIR --config.seeds=$(seq -s, 0 19)

One point of the paper's grid, max_steps 800, 1600, 3200; the number is of the best point on validation.

800 steps of 32 examples a seed.
Paper: Spearman 89.6 +- 0.3, 20 seeds.
Ours: not run yet.
"""

from configs import stsb


def get_config(arg: str = ""):
    config = stsb.get_config(arg)
    config.max_steps = 40 if arg else 800
    return config
