"""RTE, trained longer (the paper's Table 2, Longer).

python -m stablefit.main --config=configs/rte_longer.py --config.data_dir=DIR --config.seeds=$(seq -s, 0 19)

One point of the paper's grid, max_steps 400, 800, 1600, 3200; the number is of the best point on validation.

400 steps of 32 examples a seed.
Paper: accuracy 72.3 +- 1.9, 20 seeds.
Ours: not run yet.
"""

from configs import rte


def get_config(arg: str = ""):
    config = rte.get_config(arg)
    config.max_steps = 40 if arg else 400
    return config
