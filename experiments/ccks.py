r"""Do bias correction, re-initialisation, the CRF's rate and an intermediate task matter for a tagger on 400 documents?

    python -m stablefit.main --config=configs/msra.py --config.data_dir=DIR --config.model=MODEL \
        --config.learning_rate=2e-4 --config.epochs=1.0 --config.compute_dtype=bfloat16 --config.pieces=text
    python -m stablefit.grid --sweep=experiments/ccks.py --config.data_dir=DIR --config.model=MODEL

The verification of the article that this project began with: BERT and a CRF on CCKS 2020, with a small encoder of 12
blocks. Seed s is tested on fold s mod 5: runs of two settings are paired by fold and by seed. What the settings have in
common is chosen on validation, with experiments/ccks_tuning.py: 432 steps of 4 documents, and the pieces that the
tokenizer makes of the text. All compute in bfloat16 to save time.
"""

SHARED = {"config": "configs/ccks.py", "learning_rate": 2e-4, "batch_size": 4, "epochs": 6.0, "pieces": "text"}
SHARED |= {"compute_dtype": "bfloat16", "evaluations": 4, "keep": "none"}


def sweep(add):
    def cell(name, **changes):
        add(name=name, seeds=range(10), **SHARED | changes)

    cell("standard, CRF at 100 times the rate")
    cell("no bias correction", bias_correction="none")
    cell("no bias correction, 1/4 of the learning rate", bias_correction="none", learning_rate=5e-5)
    for blocks in (2, 4, 6):
        cell(f"re-init of the top {blocks}", reinit_layers=blocks)
    # The article's re-initialised runs had no bias correction.
    cell("no bias correction, re-init of the top 6", bias_correction="none", reinit_layers=6)
    cell("CRF at the rate of the others", lr_multipliers="")
    cell("CRF at 1000 times the rate", lr_multipliers="crf/.*=1000")
    cell("no CRF", crf=False, lr_multipliers="")
    cell("MSRA first", init_from="runs/msra/seed_0")
