"""CCKS 2020, entities in Chinese military texts: BERT and a CRF on 400 documents, in cross-validation."""

from configs import base


def get_config(arg: str = ""):
    config = base.get_config()
    config.task = "ccks"
    config.folds = 5
    config.seeds = (0, 1, 2, 3, 4)
    config.max_length = 512
    config.batch_size = 16
    config.epochs = 8.0
    config.evaluations = 4
    config.learning_rate = 1e-4
    config.lr_multipliers = "crf/.*=100"
    return base.with_argument(config, arg)
