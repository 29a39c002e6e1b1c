"""CoLA, decay toward zero (the paper's Table 2, WD).

python -m stablefit.main --config=configs/cola_weight_decay.py --config.data_dir=DIR --config.seeds=$(seq -s, 0 19)

One point of the paper's grid, weight_decay 1e-4, 1e-3, 1e-2, 1e-1. The paper's column equals Standard to a digit:
its released code very probably never applied the decay, so ours should differ.

804 steps of 32 examples a seed.
Paper: Matthews correlation 63.0 +- 1.5, 20 seeds.
Ours: not run yet.
"""

from configs import base, cola


def get_config(arg: str = ""):
    config = cola.get_config()
    config.weight_decay = 1e-2
    return base.with_argument(config, arg)
