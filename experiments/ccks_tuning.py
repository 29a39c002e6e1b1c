"""What suits the tagger of experiments/ccks.py, by the score on validation?

    python -m stablefit.grid --sweep=experiments/ccks_tuning.py --config.data_dir=DIR --config.model=MODEL

One change at a time from 8 epochs at 2e-4. Validation is a tenth of the documents of the training folds, so the test
scores of these runs choose nothing.
"""

from experiments.ccks import SHARED


def sweep(add):
    def cell(name, **changes):
        add(name=name, seeds=(100, 101), **SHARED | {"learning_rate": 2e-4, "epochs": 8.0} | changes)

    cell("characters, 2e-4, 8 epochs")
    cell("pieces of the text", pieces="text")
    cell("learning rate 1e-4", learning_rate=1e-4)
    cell("learning rate 4e-4", learning_rate=4e-4)
    cell("16 epochs", epochs=16.0)
    cell("batches of 8", batch_size=8)
    cell("embeddings frozen", lr_multipliers="crf/.*=100 encoder/embeddings/.*=0")
    cell("head at 10 times the rate", lr_multipliers="crf/.*=100 head/.*=10")
    cell("no CRF", crf=False, lr_multipliers="")
