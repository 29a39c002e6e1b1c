"""RTE, the top 6 blocks and the pooler re-initialised (the paper's Table 2, Re-init).

python -m stablefit.main --config=configs/rte_reinit6.py --config.data_dir=DIR --config.seeds=$(seq -s, 0 19)

234 steps of 32 examples a seed.
Paper: reports only its best depth: accuracy 72.6 +- 1.6, 20 seeds.
Ours: not run yet.
"""

from configs import base, rte


def get_config(arg: str = ""):
    config = rte.get_config()
    config.reinit_layers = 6
    return base.with_argument(config, arg)
