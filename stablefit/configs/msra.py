"""MSRA, Chinese news with people, places and organisations: BERT and a CRF, the official test set.

The last 3,000 sentences of the training file choose the best step, as is the custom.
"""

from stablefit.configs import base


def get_config(arg: str = ""):
    config = base.get_config()
    config.model = "bert-base-chinese"
    config.task = "msra"
    config.max_length = 256
    config.epochs = 2.0
    config.evaluations = 4
    config.learning_rate = 5e-5
    config.lr_multipliers = "crf/.*=100"
    return base.with_argument(config, arg)
