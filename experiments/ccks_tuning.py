"""What suits the tagger of experiments/ccks.py, by the score on validation?

    python -m stablefit.grid --sweep=experiments/ccks_tuning.py --config.data_dir=DIR --config.model=MODEL

One change at a time from 6 epochs in batches of 8 at 2e-4, and two pairs of those that helped. Validation is a tenth of
the documents of the training folds, so the test scores of these runs choose nothing. Seed 100 is in no other study. All
but one run compute in bfloat16, which takes less time; the first one says what that costs.
"""


def sweep(add):
    def cell(name, **changes):
        shared = {"config": "configs/ccks.py", "learning_rate": 2e-4, "batch_size": 8, "epochs": 6.0}
        shared |= {"compute_dtype": "bfloat16", "evaluations": 4, "keep": "none"}
        add(name=name, seeds=(100,), **shared | changes)

    cell("float32", compute_dtype="float32")
    cell("2e-4, batches of 8, characters, CRF at 100 times the rate")
    cell("embeddings frozen", lr_multipliers="crf/.*=100 encoder/embeddings/.*=0")
    cell("batches of 4", batch_size=4)
    cell("learning rate 4e-4", learning_rate=4e-4)
    cell("batches of 4, learning rate 4e-4", batch_size=4, learning_rate=4e-4)
    cell("pieces of the text", pieces="text")
    cell("batches of 4, pieces of the text", batch_size=4, pieces="text")
