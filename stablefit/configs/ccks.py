"""CCKS 2020, entities in Chinese military texts: BERT and a CRF on 400 documents, in five folds.

There is no gold test set: seed s is tested on fold s mod 5, and a tenth of the other documents chooses the best step.
More seeds, 0-14, go through the folds again. experiments/ccks.py compares settings.
"""

from stablefit.configs import base


def get_config(arg: str = ""):
    config = base.get_config()
    config.model = "bert-base-chinese"
    config.task = "ccks"
    config.folds = 5
    config.seeds = (0, 1, 2, 3, 4)
    config.max_length = 512  # the longest document has 358 characters
    config.batch_size = 16
    config.epochs = 8.0
    config.evaluations = 4
    config.learning_rate = 5e-5
    config.lr_multipliers = "crf/.*=100"
    return base.with_argument(config, arg)
