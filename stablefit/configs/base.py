"""Every field of a run at its default: each method at its identity, everything else as the paper has it.

`stablefit/fields.py` declares the fields, docs/fields.md lists them. A config of a setting starts from here and changes
values: `stablefit run --config=rte`. `--config=rte:runlocal` shrinks any of them to something a laptop finishes;
arguments.py has what else may stand after the colon.
"""

from ml_collections import ConfigDict

from stablefit.configs.arguments import runlocal, with_argument
from stablefit.fields import FIELDS

__all__ = ["get_config", "runlocal", "with_argument"]


def get_config(arg: str = "") -> ConfigDict:
    config = ConfigDict({name: field.default for name, field in FIELDS.items()})
    return with_argument(config, arg)
