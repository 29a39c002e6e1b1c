"""RTE, standard."""

from configs import base


def get_config(arg: str = ""):
    config = base.get_config()
    config.task = "rte"
    return base.with_argument(config, arg)
