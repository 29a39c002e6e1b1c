"""The one place that turns a config into what the program uses, and that says what is wrong with it.

A config splits by the roles of `fields.py`: `Spec`, what changes the compiled program; `Hypers`, numbers that may be
traced; `Policy`, the rest. A hyper-parameter at its identity value stays a Python constant, so the recipe skips it;
every other one is traced, so that settings which use the same methods share one compiled program.
"""

import dataclasses
import difflib
import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from stablefit import factors
from stablefit.data.tasks import TASKS
from stablefit.errors import InputError
from stablefit.fields import FIELDS, Hypers, Policy, Spec
from stablefit.models import sources
from stablefit.training import stopping

_LEAST, _MOST = 1.1754944e-38, 3.4028235e38  # of float32; what is smaller is 0 to an accelerator
_COMPUTED = {field.name for field in dataclasses.fields(Hypers)}


def identity(values: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a config that make a run what it is: two runs of one seed with these equal are the same run.

    Seeds that are compared with each other, so that only the best go on, are a part of that: what the row of one says
    depends on which others there were. A field that is newer than the format counts only where it is used, so that what
    was begun goes on after an update.
    """

    def counts(name: str, value: Any) -> bool:
        field = FIELDS.get(name)
        return field is None or (field.names_run and (value is None or value != field.before))

    fields = {name: value for name, value in values.items() if counts(name, value)}
    return fields | ({"seeds": tuple(sorted(values["seeds"]))} if values.get("stop_seeds_at") else {})


class StreamSeeds(NamedTuple):
    """The three randomnesses of a run as integers: head and re-init; data order; dropout and mixout."""

    init: int
    data: int
    noise: int


class Settings(NamedTuple):
    """A valid config."""

    values: dict[str, Any]  # every field, resolved
    spec: Spec
    hypers: Hypers
    policy: Policy

    @property
    def seeds(self) -> tuple[int, ...]:
        return self.values["seeds"]

    def stream_seeds(self, seed: int) -> StreamSeeds:
        """The seeds of the three streams of one run: its own seed, but where a stream is held or a factor."""
        varied = factors.streams(self.spec.factors, seed)
        held = {stream: self.values[f"{stream}_seed"] for stream in StreamSeeds._fields}
        return StreamSeeds(*(varied.get(stream, seed if own < 0 else own) for stream, own in held.items()))

    @property
    def subset_seeds(self) -> tuple[int, ...]:
        """Those of the training subsets that the runs have; one where all have the same."""
        return tuple(range(factors.n_subsets(self.spec.factors))) or (self.spec.subset_seed,)

    @property
    def n_parts(self) -> int:
        """In how many parts runs are on different data: folds, or training subsets; 0 where all are on the same."""
        return self.spec.folds or factors.n_subsets(self.spec.factors)

    def part_of(self, seed: int) -> int:
        """The part of the run of a seed, where there are parts: its fold, or its training subset."""
        if self.spec.folds:
            return seed % self.spec.folds
        return factors.streams(self.spec.factors, seed)["subset"]

    @property
    def program(self) -> tuple[tuple[str, Any], ...]:
        """What settings have in common whose runs can be members of one program: all but seeds and traced values."""
        streams = (f"{stream}_seed" for stream in StreamSeeds._fields)
        own = {"seeds", *streams, *self.hypers.traced()}
        return tuple(sorted((name, value) for name, value in self.values.items() if name not in own))

    @property
    def identity(self) -> dict[str, Any]:
        """`identity` of the values."""
        return identity(self.values)

    @property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that name the identity."""
        return hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()[:12]


def read(config: Mapping[str, Any]) -> Settings:
    """Checks a config and splits it.

    Args:
        config: a mapping of field names to values, such as an ml_collections ConfigDict.

    Raises:
        InputError: an unknown or missing field, a wrong type, a value out of range, or a combination that cannot be.
    """
    values = {name: _value(name, value) for name, value in config.items()}
    missing = [name for name in FIELDS if name not in values]
    if missing:
        raise InputError(
            f"config field {missing[0]} is missing; start from stablefit/configs/base.py, which has every field"
        )
    _check_combinations(values)
    if values["pooling"] == "auto":  # a run is named by what it does
        values["pooling"] = _as_the_model_says(values)
    used = {name: (FIELDS[name].parse or _as_it_is)(value) for name, value in values.items()}
    return Settings(values, *(_part(cls, used) for cls in (Spec, Hypers, Policy)))


def _as_the_model_says(values: Mapping[str, Any]) -> str:
    """How a sequence is read: as the model's directory says; by its pooler where none says it, or none is there yet."""
    task = TASKS.get(values["task"])
    if task and task.kind == "tagging":
        return "pooler"  # it has no use for it
    try:
        return sources.read_at(sources.resolve(values["model"], whole=False)) or "pooler"
    except InputError:
        return "pooler"


def _as_it_is(value: Any) -> Any:
    return value


def _part(cls: Any, used: Mapping[str, Any]) -> Any:
    return cls(**{field.name: used[field.name] for field in dataclasses.fields(cls)})


def _value(name: str, value: Any) -> Any:
    field = FIELDS.get(name)
    if field is None:
        near = difflib.get_close_matches(name, FIELDS, n=1)
        hint = f"did you mean {near[0]}?" if near else "stablefit/fields.py lists every field"
        raise InputError(f"config field {name} is unknown; {hint}")
    if field.kind is float and type(value) is int:
        value = float(value) if abs(value) < 1e308 else math.inf if value > 0 else -math.inf
    if field.kind is tuple and type(value) in (list, range):
        value = tuple(value)
    wrong = type(value) is not field.kind or (
        field.kind is tuple and not all(type(element) is int for element in value)
    )
    if wrong or value != value or not field.check(value):
        raise InputError(f"config field {name} is {value!r}; it must be {field.allowed}")
    computed = isinstance(value, float) and name in _COMPUTED and value and math.isfinite(value)
    if computed and not _LEAST <= abs(value) <= _MOST:
        raise InputError(
            f"config field {name} is {value!r}; the programs compute in float32, which holds 0 and {_LEAST:.1e} to "
            f"{_MOST:.1e}: set a number in there"
        )
    return value


def _check_combinations(values: dict[str, Any]) -> None:
    for name in ("dropout", "attention_dropout"):
        if values["mixout_rate"] > 0 and values[name] > 0 and not values["mixout_with_dropout"]:
            raise InputError(
                f"config fields mixout_rate={values['mixout_rate']} and {name}={values[name]} are both on; mixout "
                f"replaces dropout: set {name}=0, or mixout_with_dropout=True if both are meant"
            )
    if values["r_drop"] and not any(values[name] > 0 for name in ("dropout", "attention_dropout", "mixout_rate")):
        raise InputError(
            f"config field r_drop is {values['r_drop']:g}, and dropout and mixout_rate are 0: two passes without noise "
            "agree; set dropout, or r_drop=0"
        )
    if values["stop_seeds_at"] and values["folds"]:
        raise InputError(
            f"config fields stop_seeds_at={values['stop_seeds_at']:g} and folds={values['folds']} are both on; seeds "
            "of different folds cannot be compared: set one of them to 0"
        )
    _check_factors(values)
    n = len(values["seeds"])
    if values["stop_seeds_at"] and stopping.n_kept(n, values["keep_seeds"]) == n:
        raise InputError(
            f"config fields stop_seeds_at={values['stop_seeds_at']:g} and keep_seeds={values['keep_seeds']:g} keep all "
            f"of {n} seeds; give more seeds, or keep fewer"
        )
    fresh = [name for name in ("reinit_layers", "reinit_blocks", "reinit_patterns", "reinit_pooler") if values[name]]
    if values["head_start"] != "normal" and fresh:
        start, other = values["head_start"], f"{fresh[0]}={values[fresh[0]]!r}"
        raise InputError(
            f"config fields head_start={start!r} and {other} are both on; a head that is fitted to the pre-trained "
            "encoder does not fit one that starts anew: set head_start='normal', or no re-init"
        )
    anchors = ("init_decay", "init_decay_coupled", "init_decay_unscaled", "projection_decay")
    on = [name for name in anchors if values[name] > 0]
    if len(on) > 1:
        raise InputError(f"config fields {' and '.join(on)} are forms of one method; set one of them, the others to 0")
    if values["init_decay_everywhere"] and not on:
        raise InputError(f"config field init_decay_everywhere is True without a decay; set one of {', '.join(anchors)}")


def _check_factors(values: dict[str, Any]) -> None:
    """Refuses a training draw where nothing is drawn, and sources of chance that are to vary and to be held."""
    found = factors.parse(values["factors"])
    draws = factors.n_subsets(found)
    if (draws or values["subset_seed"]) and not values["train_examples"]:
        on = f"factors={values['factors']!r}" if draws else f"subset_seed={values['subset_seed']}"
        raise InputError(f"config field {on} draws training examples, and train_examples is 0: set it, such as 1000")
    held = {stream: values[f"{stream}_seed"] for factor in found for stream in factor.streams}
    for stream, value in held.items():
        if value != FIELDS[f"{stream}_seed"].default:
            raise InputError(
                f"config fields factors={values['factors']!r} and {stream}_seed={value} are both on; a source of "
                f"chance either varies or is held: leave {stream}_seed at {FIELDS[f'{stream}_seed'].default}"
            )
    for other in ("folds", "stop_seeds_at"):
        if found and values[other]:
            raise InputError(
                f"config fields factors={values['factors']!r} and {other}={values[other]:g} are both on; set {other} "
                "to 0, or leave factors empty"
            )
