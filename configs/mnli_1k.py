"""MNLI with 1000 training examples, Standard (the paper's Table 1).

python -m stablefit.main --config=configs/mnli_1k.py --config.data_dir=DIR --config.seeds=$(seq -s, 0 19)

999 examples, 333 of each class.

96 steps of 32 examples a seed.
Paper: accuracy 52.2 +- 4.2, 20 seeds.
Ours: not run yet.
"""

from configs import base


def get_config(arg: str = ""):
    config = base.get_config()
    config.task = "mnli"
    config.train_examples = 1000
    return base.with_argument(config, arg)
