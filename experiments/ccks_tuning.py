"""Which learning rate, and which pieces, suit the tagger of experiments/ccks.py, by the score on validation?

    python -m stablefit.grid --sweep=experiments/ccks_tuning.py --config.data_dir=DIR --config.model=MODEL

Validation is a tenth of the documents of the training folds; the test scores of these runs choose nothing. Pieces: each
character on its own, or the text as it stands, a character read at the piece that it is in.
"""

from experiments.ccks import SHARED


def sweep(add):
    for pieces, name in (("word", "characters"), ("text", "pieces of the text")):
        for rate in (1e-4, 2e-4, 4e-4):
            values = {**SHARED, "pieces": pieces, "learning_rate": rate}
            add(name=f"{name} at {rate:g}", seeds=(100, 101), **values)
