"""Names of settings: `--config=rte_reinit4` is `--config=rte:method=reinit,layers=4`."""

import difflib
import importlib
from collections.abc import Callable

from ml_collections import ConfigDict

from stablefit.configs.arguments import METHODS, read
from stablefit.errors import InputError

# A module each.
TASKS = (
    "base", "ccks", "cola", "mnli", "mrpc", "msra", "own", "own_tags", "qnli", "qqp", "reviews", "rte", "sst2", "stsb",
)  # fmt: skip
DEPTHS = range(1, 7)  # top blocks that are re-initialised
# Depths of re-initialisation on 1000 examples that the paper's figures give.
FEW = {"sst2": 2, "qnli": 4, "qqp": 3, "mnli": 5}


def _settings() -> dict[str, str]:
    """Name -> TASK:ARGUMENT."""
    named = {}
    for task in ("rte", "mrpc", "stsb", "cola"):
        named |= {f"{task}_{method}": f"{task}:method={method}" for method in METHODS if method != "reinit"}
        named |= {f"{task}_reinit{depth}": f"{task}:method=reinit,layers={depth}" for depth in DEPTHS}
    for task, depth in FEW.items():
        named[f"{task}_1k"] = f"{task}:examples=1000"
        named[f"{task}_1k_reinit"] = f"{task}:examples=1000,method=reinit,layers={depth}"
    named |= {f"ccks_{method}": f"ccks:method={method}" for method in ("bertadam", "intermediate")}
    return named | {"ccks_reinit6": "ccks:method=reinit,layers=6"}


SETTINGS = _settings()


def known(name: str) -> bool:
    """Whether a setting is called so."""
    return name in TASKS or name in SETTINGS


def named(name: str) -> Callable[..., ConfigDict]:
    """The `get_config(arg="")` of a name.

    Raises:
        InputError: nothing is called so.
    """
    task, _, fixed = SETTINGS.get(name, name).partition(":")
    if task not in TASKS:
        near = difflib.get_close_matches(name, [*TASKS, *SETTINGS], n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(TASKS)}, or a file of your own"
        raise InputError(f"config {name!r} is not a file and no name; {hint}")

    def get_config(arg: str = "") -> ConfigDict:
        module = importlib.import_module(f"stablefit.configs.{task}")
        return module.get_config(",".join(filter(None, (fixed, arg))))

    return get_config


def name_of(name: str, arg: str) -> str:
    """What a config with an argument is called, for the default workdir.

    >>> name_of("rte", "method=reinit,layers=4"), name_of("mnli", "examples=1000,runlocal"), name_of("rte_reinit4", "")
    ('rte_reinit4', 'mnli_1k', 'rte_reinit4')
    """
    given = read(arg)
    parts = [name]
    if "examples" in given:
        parts.append(given["examples"].replace("1000", "1k") if given["examples"] == "1000" else given["examples"])
    if "method" in given:
        parts.append(given["method"] + given.get("layers", ""))
    return "_".join(parts)
