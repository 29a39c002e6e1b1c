"""MRPC: debiased Adam, 3 epochs, the paper's Standard (its Table 2). arguments.py has the methods compared with it."""

from stablefit.configs import base


def get_config(arg: str = ""):
    config = base.get_config()
    config.task = "mrpc"
    return base.with_argument(config, arg)
