"""The base config is stablefit/configs/base.py; here so that `from configs import base` goes on working."""

from stablefit.configs.base import get_config, runlocal, with_argument

__all__ = ["get_config", "runlocal", "with_argument"]
