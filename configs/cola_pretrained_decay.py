"""CoLA, decay toward the pre-trained weights (the paper's Table 2, Pre-trained WD).

python -m stablefit.main --config=configs/cola_pretrained_decay.py --config.data_dir=DIR --config.seeds=$(seq -s, 0 19)

One point of the paper's grid, init_decay 1e-3, 1e-2, 1e-1, 1, that of its released command; the number is of the best
point on validation. The released code also has --config.init_decay_everywhere=True.

804 steps of 32 examples a seed.
Paper: Matthews correlation 63.4 +- 1.5, 20 seeds.
Ours: not run yet.
"""

from configs import base, cola


def get_config(arg: str = ""):
    config = cola.get_config()
    config.init_decay = 1e-3
    return base.with_argument(config, arg)
