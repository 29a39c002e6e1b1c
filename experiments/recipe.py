"""What should `stablefit fit` do by default? Recipes on small sets of several kinds, each row predicted out of fold.

    python -m stablefit.grid --sweep=experiments/recipe.py --config.keep=none

The folder of the data is named by STABLEFIT_DATA. Five seeds are five folds of 400 examples (of CLINC150 750: 5 for
each of 150 classes). The cells called old are what configs of the paper's kind do: [CLS] through a pooler, a random
head, four epochs. The others take 100 steps of 16. experiments/results/README.md says what came of it;
experiments/recipe_table.py makes the table, beside the frozen encoder and a bag of words in the same folds.
"""

import os

DATA = os.environ.get("STABLEFIT_DATA", "../shared/data")
TEXTS = {"task": "texts", "config": "configs/own.py", "data_dir": ""}
SETS = {
    "reviews": {"config": "configs/own.py", "task": "reviews", "data_file": "", "train_examples": 400},
    "clinc5": TEXTS | {"data_file": f"{DATA}/CLINC150/train.csv", "train_examples": 750},
    "sst2": TEXTS | {"data_file": f"{DATA}/SST-2/train.tsv", "train_examples": 400},
    "stsb": {"config": "configs/own.py", "task": "stsb", "data_dir": DATA, "train_examples": 400},
    "ag": TEXTS | {"data_file": f"{DATA}/AG_News/news.csv", "text_columns": "title,description", "join_texts": True,
                   "train_examples": 400},
    "mrpc": {"config": "configs/own.py", "task": "mrpc", "data_dir": DATA, "train_examples": 400},
}  # fmt: skip
OLD = {"pooling": "pooler", "head_start": "normal", "max_steps": 0, "epochs": 4.0, "learning_rate": 1e-4}
OLD |= {"batch_size": 32}
PROBE = {"pooling": "mean", "head_start": "probe", "train_on_all": True, "evaluations": 1}
PROBE |= {"batch_size": 16, "max_steps": 100, "learning_rate": 1e-4}
RECIPES = {
    "probe at 1e-4": PROBE,
    "20 steps": PROBE | {"max_steps": 20},
    "50 steps": PROBE | {"max_steps": 50},
    "200 steps": PROBE | {"max_steps": 200},
    "probe at 2e-4": PROBE | {"learning_rate": 2e-4},
    "old": OLD,
}
SOME = {  # what is tried on some sets alone
    "probe at 2e-4": ("reviews", "clinc5"),  # of two classes and of 150
    "200 steps": ("clinc5", "stsb"),  # the sets that gain most from steps
}


def sweep(add):
    for recipe, values in RECIPES.items():
        for name, data in SETS.items():
            if name in SOME.get(recipe, SETS):
                add(name=f"{name}, {recipe}", folds=5, seeds=range(5), max_length=128, **data | values)
