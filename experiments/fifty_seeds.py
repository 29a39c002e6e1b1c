"""Do the paper's methods make fine-tuning on 1,000 examples more stable? Fifty seeds of each, for an accelerator.

    SETS=SST-2,STS-B python -m stablefit.grid --sweep=experiments/fifty_seeds.py --config.data_dir=DIR

MiniLM, 3 epochs, at the rate that learning_rate.py found best for each task. A method's two tasks come one after the
other, so that a study that is cut short has both of what it has.
"""

import os

from experiments.few_sample import SHARED, TASKS

METHODS = {
    "standard": {},
    "no bias correction": {"bias_correction": "none"},
    "re-init of the top 1": {"reinit_layers": 1},
    "re-init of the top 2": {"reinit_layers": 2},
    "re-init of the top 3": {"reinit_layers": 3},
    "longer, 6 epochs": {"epochs": 6.0},
    "mixout 0.1, no dropout": {"mixout_rate": 0.1, "dropout": 0.0},
}


def sweep(add):
    for name, changes in METHODS.items():
        for task in os.environ.get("SETS", "SST-2,STS-B").split(","):
            add(name=f"{task}, {name}", seeds=range(50), **SHARED | TASKS[task] | changes)
