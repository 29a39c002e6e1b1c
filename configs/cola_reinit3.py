"""CoLA, the top 3 blocks and the pooler re-initialised (the paper's Table 2, Re-init).

python -m stablefit.main --config=configs/cola_reinit3.py --config.data_dir=DIR --config.seeds=$(seq -s, 0 19)

804 steps of 32 examples a seed.
Paper: reports only its best depth: Matthews correlation 64.2 +- 1.6 (Table 1: 63.9 +- 1.9), 20 seeds.
Ours: not run yet.
"""

from configs import base, cola


def get_config(arg: str = ""):
    config = cola.get_config()
    config.reinit_layers = 3
    return base.with_argument(config, arg)
