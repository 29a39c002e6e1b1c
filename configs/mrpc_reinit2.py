"""MRPC, the top 2 blocks and the pooler re-initialised (the paper's Table 2, Re-init).

python -m stablefit.main --config=configs/mrpc_reinit2.py --config.data_dir=DIR --config.seeds=$(seq -s, 0 19)

345 steps of 32 examples a seed.
Paper: reports only its best depth: F1 91.4 +- 0.8, 20 seeds.
Ours: not run yet.
"""

from configs import base, mrpc


def get_config(arg: str = ""):
    config = mrpc.get_config()
    config.reinit_layers = 2
    return base.with_argument(config, arg)
