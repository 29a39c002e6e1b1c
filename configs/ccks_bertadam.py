"""CCKS 2020 without Adam's bias correction.

python -m stablefit.main --config=configs/ccks_bertadam.py --config.data_dir=DIR

144 steps of 16 examples a seed.
Paper: not in it; the best published single model (NEZHA, LSTM, CRF) has entity F1 .594 over five folds.
Ours: 0, no entity found, with a small encoder and other values (experiments/ccks.py); this config not run yet.
"""

from configs import base, ccks


def get_config(arg: str = ""):
    config = ccks.get_config()
    config.bias_correction = "none"
    return base.with_argument(config, arg)
