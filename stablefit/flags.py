"""The command line -> a config: absl flags and ml_collections, with every mistake as one line."""

import difflib
import importlib.machinery
import importlib.util
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags as absl_flags
from ml_collections import ConfigDict, config_flags

from stablefit.errors import InputError
from stablefit.training.settings import FIELDS


class Flags(NamedTuple):
    """The command line of the main job."""

    config: Any  # an ml_collections ConfigDict with the overrides applied
    name: str  # the config's own, for the default workdir
    workdir: str
    quiet: bool
    distributed: bool
    plan: bool


def parse(argv: Sequence[str]) -> Flags:
    """Reads the flags; the config file is run.

    Args:
        argv: the arguments, without the program's name.

    Raises:
        InputError: an unknown flag or field, a value of the wrong type, a config that is missing or fails.
    """
    file, argument, rest = _config_file(argv)
    config = load_config(file, *argument)
    _check_fields(rest, config)
    values = absl_flags.FlagValues()
    _define_shared(values)
    absl_flags.DEFINE_bool("plan", False, "say what would be done", flag_values=values)
    try:
        config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=rest)
        stray = values(["stablefit", *rest])[1:]
    except absl_flags.Error as error:
        raise _wrong_value(error) from None
    if stray:
        raise InputError(f"argument {stray[0]!r} is not understood; flags are written --name=value")
    return Flags(values.config, file.stem, values.workdir, values.quiet, values.distributed, values.plan)


class GridFlags(NamedTuple):
    """The command line of a study."""

    sweep: str
    workdir: str
    quiet: bool
    plan: bool
    distributed: bool
    launcher: str
    overrides: tuple[str, ...]  # the --config.FIELD=VALUE of every cell


def parse_grid(argv: Sequence[str]) -> GridFlags:
    """Reads the flags of a study; nothing is run.

    Raises:
        InputError: an unknown flag, or no sweep.
    """
    values = absl_flags.FlagValues()
    absl_flags.DEFINE_string("sweep", "", "the sweep", flag_values=values)
    _define_shared(values)
    absl_flags.DEFINE_enum("launcher", "here", ["here", "ray"], "where runs are done", flag_values=values)
    absl_flags.DEFINE_bool("plan", False, "say what would be done", flag_values=values)
    overrides = tuple(argument for argument in argv if re.match(r"--?(no)?config\.", argument))
    try:
        stray = values(["stablefit", *(argument for argument in argv if argument not in overrides)])[1:]
    except absl_flags.Error as error:
        raise InputError(str(error)) from None
    if stray:
        raise InputError(f"argument {stray[0]!r} is not understood; flags are written --name=value")
    if not values.sweep:
        raise InputError("--sweep is missing; give one, such as --sweep=experiments/methods_on_rte.py")
    if values.distributed and values.launcher == "ray":
        raise InputError("--distributed and --launcher=ray are both given; a task of Ray is one process: leave one out")
    return GridFlags(
        values.sweep, values.workdir, values.quiet, values.plan, values.distributed, values.launcher, overrides
    )


def _define_shared(values: absl_flags.FlagValues) -> None:
    absl_flags.DEFINE_string("workdir", "", "where results go", flag_values=values)
    absl_flags.DEFINE_bool("quiet", False, "no progress display", flag_values=values)
    absl_flags.DEFINE_bool("distributed", False, "one of several processes", flag_values=values)


def load_config(file: Path, *argument: str) -> ConfigDict:
    """Runs a config file and calls its `get_config`, with what follows the colon of `--config=FILE:ARGUMENT` if given.

    Raises:
        InputError: the file fails, or gives something else than a ConfigDict.
    """
    # A config imports configs.base; it is found beside the config's folder, from wherever the program is called.
    root = str(file.resolve().parent.parent)
    if root not in sys.path:
        sys.path.insert(0, root)
    loader = importlib.machinery.SourceFileLoader("stablefit_config", str(file))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    try:
        loader.exec_module(module)
        config = module.get_config(*argument) if hasattr(module, "get_config") else None
    except (Exception, SystemExit) as error:
        message = error.msg if isinstance(error, SyntaxError) else error  # str() would repeat the place
        raise InputError(f"{_where(error, file)}: {type(error).__name__}: {message}") from None
    if not isinstance(config, ConfigDict):
        raise InputError(f"{file}: has no get_config that returns a ConfigDict; start from configs/base.py")
    return config


def _config_file(argv: Sequence[str]) -> tuple[Path, list[str], list[str]]:
    """The config's file, its argument if it has one, and the other arguments."""
    matches = [re.fullmatch(r"--?config=(.*)", argument, re.DOTALL) for argument in argv]
    given = [match[1] for match in matches if match]
    if not given:
        raise InputError("--config is missing; give one, such as --config=configs/rte.py")
    path, *argument = given[-1].split(":", 1)
    file = Path(path)
    if not file.is_file():
        raise InputError(f"config {path!r} is not a file; give one, such as --config=configs/rte.py")
    return file, argument, [a for a, match in zip(argv, matches, strict=True) if not match]


def _check_fields(argv: Sequence[str], config: ConfigDict) -> None:
    for argument in argv:
        match = re.match(r"--?(?:no)?config\.([^=]*)", argument)
        if match and match[1] not in config:
            near = difflib.get_close_matches(match[1], list(config), n=1)
            hint = f"did you mean {near[0]}?" if near else "configs/base.py holds every field"
            raise InputError(f"config field {match[1]} is unknown; {hint}")


def _wrong_value(error: absl_flags.Error) -> InputError:
    """absl's error, in the words of `settings.read` where it is about a field of the config."""
    match = re.match(r"flag --config\.(\w+)=(.*?): ", str(error), re.DOTALL)
    if not match or match[1] not in FIELDS:
        return InputError(str(error))
    return InputError(f"config field {match[1]} is {match[2]!r}; it must be {FIELDS[match[1]].allowed}")


def _where(error: BaseException, file: Path) -> str:
    """`file:line` of the config's own code that failed."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}"
    line, trace = 0, error.__traceback__
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename).resolve() == file.resolve():
            line = trace.tb_lineno
        trace = trace.tb_next
    return f"{file}:{line}" if line else str(file)
