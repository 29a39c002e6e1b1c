"""What should `stablefit fit` keep: one run, the ensemble of five, or the average of their weights?

    python -m stablefit.grid --sweep=experiments/keep.py --config.data_dir=GLUE --config.keep=best

The recipe of `fit` on 400 or 1,000 examples and the paper's test sets. experiments/keep_table.py makes the table.
"""


def sweep(add):
    own = {"config": "configs/own.py", "folds": 0, "seeds": range(5), "train_on_all": True, "evaluations": 1}
    own["head_start"] = "probe"  # what `fit` began with then
    add(name="reviews", task="reviews", train_examples=400, data_dir="", **own)
    for task in ("sst2", "cola", "stsb"):
        add(name=task, task=task, train_examples=1000, max_steps=200, **own)
