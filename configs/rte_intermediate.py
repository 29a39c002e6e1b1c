"""RTE after MNLI as the intermediate task (the paper's Table 2, Int. Task).

python -m stablefit.main --config=configs/rte_intermediate.py --config.data_dir=DIR --config.seeds=$(seq -s, 0 19)

It starts from the encoder of seed 0 of `python -m stablefit.main --config=configs/mnli.py --config.data_dir=DIR`, run
in the same folder before; the head and the optimizer are new.

234 steps of 32 examples a seed.
Paper: accuracy 81.8 +- 1.7, 20 seeds.
Ours: not run yet.
"""

from configs import base, rte


def get_config(arg: str = ""):
    config = rte.get_config()
    config.init_from = "runs/mnli/seed_0"
    return base.with_argument(config, arg)
