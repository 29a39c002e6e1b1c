"""CCKS 2020, entities in Chinese military texts: BERT and a CRF on 400 documents, in five folds.

python -m stablefit.main --config=configs/ccks.py --config.data_dir=DIR

There is no gold test set: seed s is tested on fold s mod 5, and a tenth of the other documents chooses the best step.
More seeds, $(seq -s, 0 14), go through the folds again. experiments/ccks.py compares settings.

144 steps of 16 examples a seed.
Paper: not in it; the best published single model (NEZHA, LSTM, CRF) has entity F1 .594 over five folds.
Ours: .510 with a small encoder and other values (experiments/ccks.py); this config not run yet.
"""

from configs import base


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
