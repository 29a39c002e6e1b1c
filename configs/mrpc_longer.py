"""MRPC, trained longer (the paper's Table 2, Longer).

python -m stablefit.main --config=configs/mrpc_longer.py --config.data_dir=DIR --config.seeds=$(seq -s, 0 19)

One point of the paper's grid, max_steps 400, 800, 1600, 3200; the number is of the best point on validation.

800 steps of 32 examples a seed.
Paper: F1 91.0 +- 1.3 (Table 1: 90.5 +- 1.5), 20 seeds.
Ours: not run yet.
"""

from configs import mrpc


def get_config(arg: str = ""):
    config = mrpc.get_config(arg)
    config.max_steps = 40 if arg else 800
    return config
