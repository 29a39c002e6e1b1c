"""The words in which `fields.py` declares a field: its range, what it does, how its text is read."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from stablefit.errors import InputError

Role = Literal["static", "traced", "policy"]


class Range(NamedTuple):
    """What a value may be."""

    allowed: str  # in words, as an error message ends
    check: Callable[[Any], bool] = lambda _: True


class Field(NamedTuple):
    """A declared field."""

    name: str
    default: Any
    allowed: str  # in words, as an error message ends
    check: Callable[[Any], bool]
    role: Role
    part: str  # of the documentation
    said: str  # what it means
    off: Any  # the value at which its method is the identity, or nothing is changed; None: there is none
    before: Any  # what runs did before there was this field: with this value a run is still the same run
    only: str  # the kind of task that has a use for it: texts, tagging, sequences; empty: every kind
    names_run: bool  # whether runs that differ in it are different runs
    parse: Callable[[Any], Any] | None  # a config's value -> what the program uses

    @property
    def kind(self) -> type:
        """int, float, bool, str or tuple (of int)."""
        return type(self.default)

    @property
    def is_method(self) -> bool:
        """Whether the default is the identity, so that another value is said to be a method that is on."""
        return self.off is not None and self.off == self.default


def rules(text: str) -> tuple[tuple[str, float], ...]:
    """`"head/.*=100 encoder/.*=2"` as pairs of a pattern and a factor."""
    return tuple(map(_rule, text.split()))


def _rule(text: str) -> tuple[str, float]:
    pattern, separator, factor = text.rpartition("=")
    try:
        number = float(factor)
    except ValueError:
        number = math.nan
    if not separator or not math.isfinite(number) or number < 0:
        raise InputError(f"config field lr_multipliers has {text!r}; it must be pattern=factor, such as head/.*=100")
    return pattern, number


def words(text: str) -> tuple[str, ...]:
    """`"a b"` as ("a", "b")."""
    return tuple(text.split())


NAME = Range("the name of a task", bool)
MODEL = Range("a directory, a hub id, or package:NAME", bool)
COUNT = Range("an integer from 1 to 1,000,000", lambda value: 1 <= value <= 10**6)
COUNT_OR_ZERO = Range("an integer from 0 to 10,000,000", lambda value: 0 <= value <= 10**7)
POSITIVE = Range("a finite number > 0", lambda value: math.isfinite(value) and value > 0)
RATE = Range("a finite number >= 0", lambda value: math.isfinite(value) and value >= 0)
BETA = Range("a number in [0, 1)", lambda value: 0 <= value < 1)
SHARE = Range("a number in [0, 1]", lambda value: 0 <= value <= 1)
NORM = Range("a number > 0, or inf for no clipping", lambda value: value > 0)
DECAY = Range("a number in (0, 1]; 1 is no decay", lambda value: 0 < value <= 1)
STREAM_SEED = Range("-1 (follows the seed) or an integer in [0, 2^32)", lambda value: -1 <= value < 2**32)
SEEDS = Range(
    "a tuple of different integers in [0, 2^32), such as 0,1,2",
    lambda value: len(value) > 0 and len(set(value)) == len(value) and all(0 <= seed < 2**32 for seed in value),
)


def field(
    default: Any,
    said: str,
    values: Range | None = None,
    *,
    part: str,
    off: Any = None,
    before: Any = None,
    only: str = "",
    names_run: bool = True,
    parse: Callable[[Any], Any] | None = None,
) -> Any:
    """A dataclass's field that holds a declaration; without a range a value may be what its type says."""
    return dataclasses.field(metadata=locals())
