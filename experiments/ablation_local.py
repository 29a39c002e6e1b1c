"""The paper's Table 2 in small: every method of it on 200 film-review snippets, with a small encoder.

    make ablation-local

No data or weights are fetched. MiniLM has 6 blocks of 384, where BERT-large has 24 of 1024, and six seeds find only
large differences: this shows how an ablation is made and read, not what the paper's methods do. Int. Task is left out;
it needs a larger task to start from.
"""

SHARED = {
    "config": "configs/reviews.py",
    "seeds": range(6),
    "train_examples": 200,
    "batch_size": 16,
    "epochs": 3.0,
    "evaluations": 3,
    "keep": "none",
    "pooling": "pooler",  # as the paper reads BERT
}


def sweep(add):
    def cell(name, **changes):
        add(name=name, **{**SHARED, **changes})

    cell("Standard")
    cell("without bias correction", bias_correction="none")
    cell("LLRD", layer_decay=0.95)
    cell("Mixout", mixout_rate=0.1, dropout=0.0)
    cell("Pre-trained WD", init_decay=1.0)
    cell("WD", weight_decay=0.01)
    cell("Re-init 1", reinit_layers=1)
    cell("Longer", epochs=6.0)
