"""SST-2, all of it. The paper has it with 1000 training examples (its Table 1): `--config=sst2_1k`."""

from stablefit.configs import base


def get_config(arg: str = ""):
    config = base.get_config()
    config.task = "sst2"
    return base.with_argument(config, arg)
