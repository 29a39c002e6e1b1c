"""CCKS 2020 after MSRA, news with people, places and organisations, as the intermediate task.

python -m stablefit.main --config=configs/ccks_intermediate.py --config.data_dir=DIR

It starts from the encoder of seed 0 of `python -m stablefit.main --config=configs/msra.py --config.data_dir=DIR`, run
in the same folder before. The labels are others, so the head, the CRF and the optimizer are new.

144 steps of 16 examples a seed.
Paper: not in it; the best published single model (NEZHA, LSTM, CRF) has entity F1 .594 over five folds.
Ours: .488 with a small encoder and other values (experiments/ccks.py); this config not run yet.
"""

from configs import base, ccks


def get_config(arg: str = ""):
    config = ccks.get_config()
    config.init_from = "runs/msra/seed_0"
    return base.with_argument(config, arg)
