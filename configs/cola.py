"""CoLA, Standard: debiased Adam, 3 epochs (the paper's Table 2).

python -m stablefit.main --config=configs/cola.py --config.data_dir=DIR --config.seeds=$(seq -s, 0 19)

804 steps of 32 examples a seed.
Paper: Matthews correlation 63.0 +- 1.5, 20 seeds.
Ours: not run yet.
"""

from configs import base


def get_config(arg: str = ""):
    config = base.get_config()
    config.task = "cola"
    return base.with_argument(config, arg)
