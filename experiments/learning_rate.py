"""Which learning rate suits MiniLM on 1,000 examples, by the score on validation?

    SETS=SST-2,STS-B,CoLA python -m stablefit.grid --sweep=experiments/learning_rate.py --config.data_dir=DIR

Standard fine-tuning only, two seeds that the studies of few_sample.py do not use. The rate with the best mean score
on validation is the one that every setting of those studies has.
"""

import os

from experiments.few_sample import SHARED, TASKS


def sweep(add):
    for task in os.environ.get("SETS", ",".join(TASKS)).split(","):
        for rate in (5e-5, 1e-4, 2e-4, 4e-4, 8e-4):
            values = {**SHARED, **TASKS[task], "learning_rate": rate}
            add(name=f"{task} at {rate:g}", seeds=(100, 101), **values)
