"""What should `stablefit fit` do by default? Recipes on small sets of several kinds, each row predicted out of fold.

    python -m stablefit.grid --sweep=experiments/recipe.py --config.keep=none

The folder of the data is named by STABLEFIT_DATA. Five seeds are five folds of 400 examples (of CLINC150 750 and 1,500:
5 and 10 for each of 150 classes). The cells called old are what configs of the paper's kind do: [CLS] through a
pooler, a random head, four epochs. The others take 200 steps of 16, and no more texts than those. experiments/results/README.md says what came of it; experiments/recipe_table.py
makes the table, beside the frozen encoder with logistic regression in the same folds.
"""

import os

DATA = os.environ.get("STABLEFIT_DATA", "../shared/data")
TEXTS = {"task": "texts", "config": "configs/own.py", "data_dir": ""}
SETS = {
    "reviews": {"config": "configs/own.py", "task": "reviews", "data_file": "", "train_examples": 400},
    "ag": TEXTS | {"data_file": f"{DATA}/AG_News/news.csv", "text_columns": "title,description", "join_texts": True,
                   "train_examples": 400},
    "clinc5": TEXTS | {"data_file": f"{DATA}/CLINC150/train.csv", "train_examples": 750},
    "clinc10": TEXTS | {"data_file": f"{DATA}/CLINC150/train.csv", "train_examples": 1500},
    "sst2": TEXTS | {"data_file": f"{DATA}/SST-2/train.tsv", "train_examples": 400},
    "stsb": {"config": "configs/own.py", "task": "stsb", "data_dir": DATA, "train_examples": 400},
    "mrpc": {"config": "configs/own.py", "task": "mrpc", "data_dir": DATA, "train_examples": 400},
}  # fmt: skip
OLD = {"pooling": "pooler", "head_start": "normal", "max_steps": 0, "epochs": 4.0, "learning_rate": 1e-4}
PROBE = {"pooling": "mean", "head_start": "probe", "evaluations": 4, "batch_size": 16, "max_steps": 200}
RECIPES = {
    "probe at 1e-4": PROBE | {"learning_rate": 1e-4},
    "old": OLD,
    "probe at 5e-5": PROBE | {"learning_rate": 5e-5},
    "mean at 1e-4": PROBE | {"head_start": "normal", "learning_rate": 1e-4},
}


def sweep(add):
    for recipe, values in RECIPES.items():
        for name, data in SETS.items():
            add(name=f"{name}, {recipe}", folds=5, seeds=range(5), max_length=128, **data | values)
