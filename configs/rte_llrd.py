"""RTE, layer-wise learning-rate decay (the paper's Table 2, LLRD).

python -m stablefit.main --config=configs/rte_llrd.py --config.data_dir=DIR --config.seeds=$(seq -s, 0 19)

One point of the paper's grid, learning_rate 2e-5, 5e-5, 1e-4 x layer_decay 0.9, 0.95, the one of its released command;
the number is of the best point on validation.

234 steps of 32 examples a seed.
Paper: accuracy 69.7 +- 3.2, 20 seeds.
Ours: not run yet.
"""

from configs import base, rte


def get_config(arg: str = ""):
    config = rte.get_config()
    config.layer_decay = 0.95
    return base.with_argument(config, arg)
