"""Which method makes fine-tuning BERT-large on a small task better or more stable: the paper's Table 2.

    make ablation DATA=DIR

Four tasks, twenty seeds a cell, a config a cell, as the paper has them; and Adam without bias correction, as in its
Figure 2. Int. Task starts from seed 0 of configs/mnli.py, which `make ablation` runs first.

A cell of the paper is the best point of a grid, by mean score on validation; a cell here is the one point that its
config has, and docs/reproducing.md has the grids. Of the number of re-initialised blocks the paper names the best only
for sets of 1000 examples: RTE 6, MRPC 5, STS-B 4, CoLA 1. These are taken here for the whole sets.
"""

TASKS = {"RTE": ("rte", 6), "MRPC": ("mrpc", 5), "STS-B": ("stsb", 4), "CoLA": ("cola", 1)}


def sweep(add):
    for task, (config, blocks) in TASKS.items():
        cells = {
            "Standard": "",
            "without bias correction": "_bertadam",
            "Int. Task": "_intermediate",
            "LLRD": "_llrd",
            "Mixout": "_mixout",
            "Pre-trained WD": "_pretrained_decay",
            "WD": "_weight_decay",
            f"Re-init {blocks}": f"_reinit{blocks}",
            "Longer": "_longer",
        }
        for name, suffix in cells.items():
            add(config=f"configs/{config}{suffix}.py", name=f"{task}: {name}", seeds=range(20), keep="none")
