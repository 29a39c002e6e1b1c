"""MSRA, Chinese news with people, places and organisations: BERT and a CRF, the official test set.

python -m stablefit.main --config=configs/msra.py --config.data_dir=DIR

The last 3,000 sentences of the training file choose the best step, as is the custom.

2,634 steps of 32 examples a seed.
Paper: not in it; qiufengyuyi/sequence_tagging has F1 .939 with a BiLSTM between, on a set that looks like this one.
Ours: .880 after one epoch of a small encoder at 2e-4; experiments/results/README.md has the command.
"""

from configs import base


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
