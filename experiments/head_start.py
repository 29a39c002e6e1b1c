"""How should the head of a fit on 400 examples start: at random, or as a regression on the frozen encoder?

    STABLEFIT_DATA=DIR SETS=stsb python -m stablefit.grid --sweep=experiments/head_start.py --config.keep=none

Two regressions: of the penalty with the least loss in cross-validation, and of the strongest within a standard error
of it. SETS are names of recipe.py's sets with commas between. All else is `stablefit fit`'s recipe: the mean of the
pieces, 100 steps of 16, five seeds, each of them a fold.
"""

import os

from experiments.recipe import PROBE, SETS

STARTS = {"probe": {}, "random": {"head_start": "normal"}, "probe, 1 SE": {"head_start": "probe_1se"}}


def sweep(add):
    for name in os.environ.get("SETS", "sst2,clinc5,mrpc,stsb").split(","):
        for start, changes in STARTS.items():
            add(name=f"{name}, {start}", folds=5, seeds=range(5), max_length=128, **SETS[name] | PROBE | changes)
