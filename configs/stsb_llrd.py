"""STS-B, layer-wise learning-rate decay (the paper's Table 2, LLRD).

python -m stablefit.main --config=configs/stsb_llrd.py --config.data_dir=DIR --config.seeds=$(seq -s, 0 19)

One point of the paper's grid, learning_rate 2e-5, 5e-5, 1e-4 x layer_decay 0.9, 0.95, the one of its released command;
the number is of the best point on validation.

540 steps of 32 examples a seed.
Paper: Spearman 89.2 +- 0.4, 20 seeds.
Ours: not run yet.
"""

from configs import base, stsb


def get_config(arg: str = ""):
    config = stsb.get_config()
    config.layer_decay = 0.95
    return base.with_argument(config, arg)
