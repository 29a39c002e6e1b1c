"""CCKS 2020, the top 6 blocks re-initialised; there is no pooler.

python -m stablefit.main --config=configs/ccks_reinit6.py --config.data_dir=DIR

144 steps of 16 examples a seed.
Paper: not in it; the best published single model (NEZHA, LSTM, CRF) has entity F1 .594 over five folds.
Ours: .533 with a small encoder and other values (experiments/ccks.py); this config not run yet.
"""

from configs import base, ccks


def get_config(arg: str = ""):
    config = ccks.get_config()
    config.reinit_layers = 6
    return base.with_argument(config, arg)
