"""How much of the spread of fine-tuning on 1,000 examples of SST-2 is the luck of which examples were drawn?

    python -m stablefit.grid --sweep=experiments/sst2_draws.py --config.data_dir=DIR

Five training draws, and on each the same five seeds, of three settings of sst2_few_sample.py: standard fine-tuning,
Adam without bias correction, and twice as many steps. Draw 0 is the one that all the other studies have.
"""

from experiments.few_sample import SHARED, TASKS


def sweep(add):
    def cell(name, **changes):
        values = {**SHARED, **TASKS["SST-2"], "factors": "subset=5 seed=5"}
        add(name=name, seeds=range(25), **{**values, **changes})

    cell("standard")
    cell("no bias correction", bias_correction="none")
    cell("longer, 6 epochs", epochs=6.0)
