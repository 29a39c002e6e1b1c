"""Which method makes fine-tuning MiniLM on 1,000 examples of SST-2 better or more stable?

    python -m stablefit.grid --sweep=experiments/sst2_few_sample.py --config.data_dir=DIR

The settings of few_sample.py, ten seeds each.
"""

from experiments.few_sample import add_cells


def sweep(add):
    add_cells(add, "SST-2")
