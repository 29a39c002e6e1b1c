"""Reaction yields from texts by an encoder of masked tokens: do our recipes hold against a published few-sample table?

    STABLEFIT_DATA=DIR python -m experiments.reactions_data REACTIONS
    REACTIONS=REACTIONS python -m stablefit.grid --sweep=experiments/reactions.py --config.model=RXNFP \\
        --config.keep=none

Ten published orders, 98 and 197 training reactions. `published` are the settings of Schwaller et al. (Mach. Learn.:
Sci. Technol. 2021) as we read them: hidden dropout .80 everywhere, attention dropout .1, Adam at 9.66e-5, no warm-up,
15 epochs of 16. With so much dropout nothing is learnt in the 105 steps that 98 reactions make, so `usual dropout` is
the same with .1. `fit` starts from `stablefit fit`'s values.
"""

import os

REACTIONS = os.environ.get("REACTIONS", "runs/reactions")
COMMON = {"config": "configs/own.py", "folds": 0, "max_length": 270, "batch_size": 16, "train_on_all": True}
COMMON |= {"evaluations": 1, "eval_batch_size": 32, "text_columns": "reaction", "label_column": "yield"}
COMMON |= {"id_column": "id", "label_kind": "regression"}
PUBLISHED = {"pooling": "pooler", "head_start": "normal", "max_steps": 0, "epochs": 15.0, "learning_rate": 9.66e-5}
PUBLISHED |= {"warmup_ratio": 0.0, "dropout": 0.8, "attention_dropout": 0.1}
SETTINGS = {"fit": {"head_start": "probe"}, "usual dropout": PUBLISHED | {"dropout": 0.1}, "published": PUBLISHED}


def sweep(add):
    for n in (98, 197):
        for setting, values in SETTINGS.items():
            for order in range(1, 11):
                data = {"data_file": f"{REACTIONS}/order_{order}_{n}"}
                seeds = range(5) if (n, order, setting) == (98, 1, "fit") else (0,)  # five for an ensemble
                add(name=f"{n}, order {order}, {setting}", seeds=seeds, **COMMON | data | values)
