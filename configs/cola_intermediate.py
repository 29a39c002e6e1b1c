"""CoLA after MNLI as the intermediate task (the paper's Table 2, Int. Task).

python -m stablefit.main --config=configs/cola_intermediate.py --config.data_dir=DIR --config.seeds=$(seq -s, 0 19)

It starts from the encoder of seed 0 of `python -m stablefit.main --config=configs/mnli.py --config.data_dir=DIR`, run
in the same folder before; the head and the optimizer are new.

804 steps of 32 examples a seed.
Paper: Matthews correlation 63.9 +- 1.8, 20 seeds.
Ours: not run yet.
"""

from configs import base, cola


def get_config(arg: str = ""):
    config = cola.get_config()
    config.init_from = "runs/mnli/seed_0"
    return base.with_argument(config, arg)
