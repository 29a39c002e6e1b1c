"""QNLI with 1000 training examples, Standard (the paper's Table 1).

python -m stablefit.main --config=configs/qnli_1k.py --config.data_dir=DIR --config.seeds=$(seq -s, 0 19)

96 steps of 32 examples a seed.
Paper: accuracy 78.6 +- 2.0, 20 seeds.
Ours: not run yet.
"""

from configs import base


def get_config(arg: str = ""):
    config = base.get_config()
    config.task = "qnli"
    config.train_examples = 1000
    return base.with_argument(config, arg)
