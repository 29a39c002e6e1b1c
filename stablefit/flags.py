"""The command line -> a config: absl flags and ml_collections, with every mistake as one line."""

import difflib
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags as absl_flags
from ml_collections import config_flags

from stablefit.errors import InputError


class Flags(NamedTuple):
    """The command line of the main job."""

    config: Any  # an ml_collections ConfigDict with the overrides applied
    name: str  # the config's own, for the default workdir
    workdir: str
    quiet: bool
    plan: bool


def parse(argv: Sequence[str]) -> Flags:
    """Reads the flags; the config file is run.

    Args:
        argv: the arguments, without the program's name.

    Raises:
        InputError: an unknown flag or field, a value of the wrong type, a config that is missing or fails.
    """
    values = absl_flags.FlagValues()
    config_flags.DEFINE_config_file("config", None, "the config", flag_values=values)
    absl_flags.DEFINE_string("workdir", "", "where results go", flag_values=values)
    absl_flags.DEFINE_bool("quiet", False, "no progress display", flag_values=values)
    absl_flags.DEFINE_bool("plan", False, "say what would be done", flag_values=values)
    file = _config_file(argv)
    # A config imports configs.base; it is found beside the config's folder, from wherever the program is called.
    sys.path.insert(0, str(file.resolve().parent.parent))
    try:
        rest = values(["stablefit", *argv])
        config = values.config
        config.to_dict()  # a config file that failed says so only when it is used
    except absl_flags.Error as error:
        raise InputError(str(error)) from None
    except AttributeError as error:
        raise _unknown_field(argv, error, values) from None
    except Exception as error:
        raise InputError(f"{_where(error, file)}: {type(error).__name__}: {error}") from None
    if len(rest) > 1:
        raise InputError(f"argument {rest[1]!r} is not understood; flags are written --name=value")
    return Flags(config, file.stem, values.workdir, values.quiet, values.plan)


def _config_file(argv: Sequence[str]) -> Path:
    given = [re.match(r"--?config=(.*)", argument, re.DOTALL) for argument in argv]
    paths = [match.group(1) for match in given if match]
    if not paths:
        raise InputError("--config is missing; give one, such as --config=configs/rte.py")
    file = Path(paths[-1].split(":")[0])
    if not file.is_file():
        raise InputError(f"config {str(file)!r} is not a file; give one, such as --config=configs/rte.py")
    return file


def _unknown_field(argv: Sequence[str], error: AttributeError, values: absl_flags.FlagValues) -> InputError:
    field = str(error).strip("\"'")
    given = [a for a in argv if a.startswith(f"--config.{field}")]
    if not given:
        return InputError(f"{_where(error, _config_file(argv))}: AttributeError: {error}")
    config = values["config"].value
    near = difflib.get_close_matches(field, list(config.keys()), n=1) if config is not None else []
    hint = f"did you mean {near[0]}?" if near else "configs/base.py holds every field"
    return InputError(f"config field {field} is unknown; {hint}")


def _where(error: BaseException, file: Path) -> str:
    """`file:line` of the config's own code that failed."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename).resolve() == file.resolve():
            line = trace.tb_lineno
        trace = trace.tb_next
    return f"{file}:{line}" if line else str(file)
