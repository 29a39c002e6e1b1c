"""CoLA, trained longer (the paper's Table 2, Longer).

python -m stablefit.main --config=configs/cola_longer.py --config.data_dir=DIR --config.seeds=$(seq -s, 0 19)

One point of the paper's grid, max_steps 1600, 3200; the number is of the best point on validation.

1,600 steps of 32 examples a seed.
Paper: Matthews correlation 62.4 +- 1.7, 20 seeds.
Ours: not run yet.
"""

from configs import cola


def get_config(arg: str = ""):
    config = cola.get_config(arg)
    config.max_steps = 40 if arg else 1600
    return config
