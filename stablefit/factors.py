"""What varies between the runs of a setting, as factors of a designed study.

A run has four sources of chance, each with a seed of its own: which training examples are drawn, the start of the head,
the order of the examples, the noise of dropout and mixout. Usually all but the first follow the run's seed. With
factors a seed is a number in mixed radix: of F_1 factors with L_1, L_2, ... levels, seed s has level s mod L_1 of the
first, (s // L_1) mod L_2 of the second, and so on. So the seeds 0 .. L_1 L_2 ... - 1 are every combination once.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from stablefit.errors import InputError

STREAMS = {  # the name of a source of chance -> what it is called
    "subset": "training draw",
    "init": "start of the head",
    "data": "order of the examples",
    "noise": "dropout and mixout",
}
OF_A_SEED = "seed"  # stands for all but the training draw, as far as they are no factors of their own


class Factor(NamedTuple):
    """Sources of chance that vary together."""

    streams: tuple[str, ...]
    levels: int

    @property
    def title(self) -> str:
        """`seed` for all but the training draw together, else what they are called."""
        alone = set(self.streams) == STREAMS.keys() - {"subset"}
        return OF_A_SEED if alone else " and ".join(STREAMS[stream] for stream in self.streams)


def parse(text: str) -> tuple[Factor, ...]:
    """Factors from the words of a config.

    >>> [factor.title for factor in parse("subset=5 init=3 seed=2")]
    ['training draw', 'start of the head', 'order of the examples and dropout and mixout']

    Raises:
        InputError: not such words, or a source twice.
    """
    found = [_read(word) for word in text.split()]
    named = [stream for streams, _ in found for stream in streams]
    twice = [name for name in named if named.count(name) > 1]
    if twice:
        raise InputError(f"config field factors is {text!r}; {twice[0]} is in it twice")
    rest = tuple(stream for stream in STREAMS if stream != "subset" and stream not in named)
    if OF_A_SEED in named and not rest:
        raise InputError(f"config field factors is {text!r}; nothing is left that {OF_A_SEED} could stand for")
    return tuple(Factor(rest if streams == (OF_A_SEED,) else streams, levels) for streams, levels in found)


def _read(word: str) -> tuple[tuple[str, ...], int]:
    names, separator, number = word.partition("=")
    streams = tuple(names.split("+"))
    known = streams == (OF_A_SEED,) or all(stream in STREAMS for stream in streams)
    if not (
        separator
        and known
        and number.isascii()
        and number.isdigit()
        and 2 <= int(number[:9]) <= 1000
        and len(number) < 9
    ):
        raise InputError(
            f"config field factors has {word!r}; it must be a source of chance and how many levels it has, from 2 to "
            f"1,000, such as subset=5; sources are {', '.join(STREAMS)}, some of them joined by +, and {OF_A_SEED}"
        )
    return streams, int(number)


def levels(factors: Sequence[Factor], seed: int) -> tuple[int, ...]:
    """The level that the run of a seed has of each factor.

    >>> [levels(parse("subset=2 seed=3"), seed) for seed in range(4)]
    [(0, 0), (1, 0), (0, 1), (1, 1)]
    """
    found = []
    for factor in factors:
        found.append(seed % factor.levels)
        seed //= factor.levels
    return tuple(found)


def streams(factors: Sequence[Factor], seed: int) -> dict[str, int]:
    """The seeds of the sources that are factors, in the run of a seed."""
    found = zip(factors, levels(factors, seed), strict=True)
    return {stream: level for factor, level in found for stream in factor.streams}


def combinations(factors: Sequence[Factor]) -> int:
    """How many there are."""
    return math.prod(factor.levels for factor in factors)


def n_subsets(factors: Sequence[Factor]) -> int:
    """Between how many training draws the runs vary; 0 where all have one."""
    return next((factor.levels for factor in factors if "subset" in factor.streams), 0)
