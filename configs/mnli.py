"""MNLI, all of it: the intermediate task of the paper's Table 2, and the runs of its Appendix D.

python -m stablefit.main --config=configs/mnli.py --config.data_dir=DIR --config.seeds=0,1,2

`configs/*_intermediate.py` start from its seed 0. The paper's code has no script for that step; the settings here are
those of Standard. 999 of the training examples are validation, dev_matched is test.

36,723 steps of 32 examples a seed.
Paper: accuracy on test 86.9 +- 0.3 with bias correction, 87.0 +- 0.4 without, 3 seeds.
Ours: not run yet.
"""

from configs import base


def get_config(arg: str = ""):
    config = base.get_config()
    config.task = "mnli"
    return base.with_argument(config, arg)
