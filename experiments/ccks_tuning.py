"""What suits the tagger of experiments/ccks.py, by the score on validation?

    python -m stablefit.grid --sweep=experiments/ccks_tuning.py --config.data_dir=DIR --config.model=MODEL

One change at a time from 8 epochs in batches of 8 at 2e-4. Validation is a tenth of the documents of the training
folds, so the test scores of these runs choose nothing.
"""


def sweep(add):
    def cell(name, **changes):
        shared = {"config": "configs/ccks.py", "learning_rate": 2e-4, "batch_size": 8, "evaluations": 4, "keep": "none"}
        add(name=name, seeds=(100, 101), **shared | changes)

    cell("characters, 2e-4, batches of 8, 8 epochs")
    cell("embeddings frozen", lr_multipliers="crf/.*=100 encoder/embeddings/.*=0")
    cell("layer-wise decay 0.9", layer_decay=0.9)
    cell("pieces of the text", pieces="text")
    cell("learning rate 4e-4", learning_rate=4e-4)
    cell("learning rate 1e-4", learning_rate=1e-4)
    cell("batches of 16", batch_size=16)
    cell("head at 10 times the rate", lr_multipliers="crf/.*=100 head/.*=10")
    cell("no CRF", crf=False, lr_multipliers="")
    cell("16 epochs", epochs=16.0)
