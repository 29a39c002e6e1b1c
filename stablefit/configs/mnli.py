"""MNLI, all of it: the intermediate task of the paper's Table 2, and the runs of its Appendix D.

method=intermediate starts from its seed 0. The paper's code has no script for that step; the settings here are those of
Standard. 999 of the training examples are validation, dev_matched is test. `--config=mnli_1k` has 999 examples, 333 of
each class.
"""

from stablefit.configs import base


def get_config(arg: str = ""):
    config = base.get_config()
    config.task = "mnli"
    return base.with_argument(config, arg)
