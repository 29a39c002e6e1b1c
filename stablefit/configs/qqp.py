"""QQP, all of it. The paper has it with 1000 training examples (its Table 1): `--config=qqp_1k`."""

from stablefit.configs import base


def get_config(arg: str = ""):
    config = base.get_config()
    config.task = "qqp"
    return base.with_argument(config, arg)
