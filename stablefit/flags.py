"""The command line -> a config: absl flags and ml_collections, with every mistake as one line."""

import difflib
import importlib.machinery
import importlib.util
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags as absl_flags
from ml_collections import ConfigDict, config_flags

from stablefit import program
from stablefit.configs import named
from stablefit.errors import InputError
from stablefit.fields import FIELDS

SHARED = ("workdir", "quiet", "distributed", "plan")
MOST = 10_000  # values that a range may stand for


class Flags(NamedTuple):
    """The command line of the main job."""

    config: Any  # an ml_collections ConfigDict with the overrides applied
    name: str  # the config's own, for the default workdir
    workdir: str
    quiet: bool
    distributed: bool
    plan: bool


def parse(argv: Sequence[str]) -> Flags:
    """Reads the flags; the config is run.

    Args:
        argv: the arguments, without the program's name.

    Raises:
        InputError: an unknown flag or field, a value of the wrong type, a config that is missing or fails.
    """
    _check_flags(argv, ("config", *SHARED))
    path, argument, rest = _config(argv)
    config = load_config(path, *argument)
    _check_fields(rest, config)
    rest = [_spelled_out(argument) for argument in _last_of_each(rest)]
    values = absl_flags.FlagValues()
    _define_shared(values)
    try:
        config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=rest)
        stray = values(["stablefit", *rest])[1:]
    except absl_flags.Error as error:
        raise _wrong_value(error) from None
    if stray:
        raise InputError(f"argument {stray[0]!r} is not understood; flags are written --name=value")
    return Flags(values.config, _name(path, *argument), values.workdir, values.quiet, values.distributed, values.plan)


class GridFlags(NamedTuple):
    """The command line of a study."""

    sweep: str
    workdir: str
    quiet: bool
    plan: bool
    distributed: bool
    launcher: str
    overrides: tuple[str, ...]  # the --config.FIELD=VALUE of every cell

    @property
    def fields(self) -> list[str]:
        """Names of the fields that are overridden."""
        return list(dict.fromkeys(re.sub(r"^--?(no)?config\.|=.*", "", one, flags=re.DOTALL) for one in self.overrides))


def parse_grid(argv: Sequence[str]) -> GridFlags:
    """Reads the flags of a study; nothing is run.

    Raises:
        InputError: an unknown flag, or no sweep.
    """
    _check_flags(argv, ("sweep", "launcher", *SHARED))
    values = absl_flags.FlagValues()
    absl_flags.DEFINE_string("sweep", "", "the sweep", flag_values=values)
    _define_shared(values)
    absl_flags.DEFINE_enum("launcher", "here", ["here", "ray"], "where runs are done", flag_values=values)
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
    absl_flags.DEFINE_bool("plan", False, "say what would be done", flag_values=values)


def load_config(path: str, *argument: str) -> ConfigDict:
    """Runs a config and calls its `get_config`, with what follows the colon of `--config=PATH:ARGUMENT` if given.

    Args:
        path: a file, or the name of a setting that comes with stablefit.
        argument: none or one.

    Raises:
        InputError: no such config, it fails, or gives something else than a ConfigDict.
    """
    file = Path(path)
    if not file.is_file():
        return _named(path)(*argument)
    # A config may import what lies beside its folder, such as configs.base; it is found from wherever one calls.
    root = str(file.resolve().parent.parent)
    if root not in sys.path:
        sys.path.append(root)  # at the end: a jax.py of theirs is not jax
    loader = importlib.machinery.SourceFileLoader("stablefit_config", str(file))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    try:
        loader.exec_module(module)
        config = module.get_config(*argument) if hasattr(module, "get_config") else None
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        hint = ""
        if isinstance(error, ImportError) and str(error.name).split(".")[0] == "configs":
            hint = "; write `from stablefit.configs import base`"
        raise InputError(program.of_their_program(error, file) + hint) from None
    if not isinstance(config, ConfigDict):
        raise InputError(f"{file}: has no get_config that returns a ConfigDict; start from stablefit/configs/base.py")
    return config


def _named(path: str) -> Callable[..., ConfigDict]:
    """The setting that is called so; `configs/NAME.py` is one too, so that a sweep of the repository runs anywhere."""
    short = re.fullmatch(r"(?:\./)?configs/(\w+)\.py", path)
    if short and named.known(short[1]):
        return named.named(short[1])
    if not re.fullmatch(r"\w+", path):
        raise InputError(f"config {path!r} is not a file; give one, or a name, such as --config=rte_reinit4")
    return named.named(path)


def _name(path: str, argument: str = "") -> str:
    """What a config is called, for the default workdir: rte_reinit4 of configs/rte.py:method=reinit,layers=4 too."""
    try:
        return named.name_of(Path(path).stem, argument)
    except InputError:  # a config of a person's own, with arguments of its own
        return Path(path).stem


def _config(argv: Sequence[str]) -> tuple[str, list[str], list[str]]:
    """What `--config=` gives, its argument if it has one, and the other arguments."""
    given, rest, left = "", [], list(argv)
    found = False
    while left:
        argument = left.pop(0)
        match = re.fullmatch(r"--?config(?:=(.*))?", argument, re.DOTALL)
        if match is None:
            rest.append(argument)
        elif match[1] is not None:
            given, found = match[1], True
        elif left and not left[0].startswith("-"):
            given, found = left.pop(0), True
        else:
            raise InputError("--config has no value; give one, such as --config=configs/rte.py")
    if not found:
        raise InputError("--config is missing; give one, such as --config=configs/rte.py")
    path, *argument = given.split(":", 1)
    return path, argument, rest


def _check_flags(argv: Sequence[str], known: Sequence[str]) -> None:
    """Refuses a flag that there is not, before one that is missing is asked for."""
    for argument in argv:
        match = re.match(r"--?([\w-]+)(?=$|=)", argument)
        if match is None or match[1] in known or match[1].removeprefix("no") in known:
            continue
        name, _, value = argument.lstrip("-").partition("=")
        if name in FIELDS:
            raise InputError(f"flag --{name} is unknown; a field is written --config.{name}={value or 'VALUE'}")
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean --{near[0]}?" if near else f"there are --{', --'.join(known)} and --config.FIELD"
        raise InputError(f"flag --{name} is unknown; {hint}")


def _last_of_each(arguments: Sequence[str]) -> list[str]:
    """Of a field that is given more than once the last one counts; a tuple's values would be put together."""
    names = [match[1] if (match := re.match(r"--?config\.([^=]*)=", one)) else None for one in arguments]
    return [one for i, one in enumerate(arguments) if names[i] is None or names[i] not in names[i + 1 :]]


def _spelled_out(argument: str) -> str:
    """`--config.seeds=0-4` or `--config.seeds=range(5)` as `--config.seeds=0,1,2,3,4`; others as they are."""
    match = re.fullmatch(r"(--?config\.(\w+)=)[(\[]?(.*?)[)\]]?", argument)
    if match is None or match[2] not in FIELDS or FIELDS[match[2]].kind is not tuple:
        return argument
    whole = re.fullmatch(r"range\((\d{1,20})(?:,\s*(\d{1,20}))?\)", argument.removeprefix(match[1]))
    if whole:
        ends = (0, int(whole[1])) if whole[2] is None else (int(whole[1]), int(whole[2]))
        return match[1] + _listed(argument, *ends)
    parts = [re.fullmatch(r"\s*(\d{1,20})-(\d{1,20})\s*", part) for part in match[3].split(",")]
    if not any(parts):
        return argument
    listed = [
        _listed(argument, int(part[1]), int(part[2]) + 1) if part else text
        for part, text in zip(parts, match[3].split(","), strict=True)
    ]
    return match[1] + ",".join(listed)


def _listed(argument: str, start: int, stop: int) -> str:
    """The integers of a range with commas between, and one after: a single one is a tuple too."""
    if not 0 < stop - start <= MOST:
        raise InputError(f"{argument}: the range has {max(0, stop - start):,} integers; it must have 1 to {MOST:,}")
    return ",".join(map(str, range(start, stop))) + ("," if stop - start == 1 else "")


def _check_fields(argv: Sequence[str], config: ConfigDict) -> None:
    for argument in argv:
        match = re.match(r"--?(?:no)?config\.([^=]*)", argument)
        if match and match[1] not in config:
            near = difflib.get_close_matches(match[1], list(config), n=1)
            hint = f"did you mean {near[0]}?" if near else "stablefit/fields.py lists every field"
            raise InputError(f"config field {match[1]} is unknown; {hint}")


def _wrong_value(error: absl_flags.Error) -> InputError:
    """absl's error, in the words of `settings.read` where it is about a field of the config."""
    match = re.match(r"flag --config\.(\w+)=(.*?): ", str(error), re.DOTALL)
    if not match or match[1] not in FIELDS:
        return InputError(str(error))
    return InputError(f"config field {match[1]} is {match[2]!r}; it must be {FIELDS[match[1]].allowed}")
