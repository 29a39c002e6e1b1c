"""QQP with 1000 training examples, Re-init (the paper's Table 1).

python -m stablefit.main --config=configs/qqp_1k_reinit.py --config.data_dir=DIR --config.seeds=$(seq -s, 0 19)

Re-initialises the top 3 blocks and the pooler, the depth that the paper's figures give for this set.

96 steps of 32 examples a seed.
Paper: accuracy 77.2 +- 0.7, 20 seeds.
Ours: not run yet.
"""

from configs import base, qqp_1k


def get_config(arg: str = ""):
    config = qqp_1k.get_config()
    config.reinit_layers = 3
    return base.with_argument(config, arg)
