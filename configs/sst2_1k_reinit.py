"""SST-2 with 1000 training examples, Re-init (the paper's Table 1).

python -m stablefit.main --config=configs/sst2_1k_reinit.py --config.data_dir=DIR --config.seeds=$(seq -s, 0 19)

Re-initialises the top 2 blocks and the pooler, the depth that the paper's figures give for this set.

96 steps of 32 examples a seed.
Paper: accuracy 90.8 +- 0.4, 20 seeds.
Ours: not run yet.
"""

from configs import base, sst2_1k


def get_config(arg: str = ""):
    config = sst2_1k.get_config()
    config.reinit_layers = 2
    return base.with_argument(config, arg)
