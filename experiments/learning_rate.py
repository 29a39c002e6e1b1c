"""Which learning rate suits MiniLM on 1,000 examples, by the score on validation?

    python -m stablefit.grid --sweep=experiments/learning_rate.py --config.data_dir=DIR

Standard fine-tuning only, two seeds that the studies of few_sample.py do not use. The rate with the best mean score
on validation is the one that every setting of those studies has.
"""

from experiments.few_sample import SHARED, TASKS


def sweep(add):
    for task, changes in TASKS.items():
        for rate in (5e-5, 1e-4, 2e-4, 4e-4, 8e-4):
            values = {**SHARED, **changes, "learning_rate": rate}
            add(name=f"{task} at {rate:g}", seeds=(100, 101), **values)
