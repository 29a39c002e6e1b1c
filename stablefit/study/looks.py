"""How often a study was looked at, and what that does to a p-value.

Who looks at five seeds, and at ten if five did not decide, has two chances of a false alarm. So the level is spent look
by look (Lan and DeMets 1983): of alpha, four fifths at the first look, half of the rest at each further one, however
many there will be. A look is a table or a report that could give a verdict; the same runs seen again are no new look.
"""

import contextlib
import datetime
import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from stablefit.errors import InputError
from stablefit.training import files

FIRST_SHARE = 0.8  # of the level, spent at the first look
_DRAWS = 200_000
_ALPHAS = np.concatenate([[0.0], np.geomspace(1e-4, 1.0, 60)])


class Look(NamedTuple):
    """One look at a study.

    Attributes:
        when: date and time, UTC.
        runs: name of each setting -> how many finished runs it had.
    """

    when: str
    runs: Mapping[str, int]


def spent(looks: int) -> float:
    """The share of alpha that is spent after so many looks: .8, .9, .95, ..."""
    return 1.0 - (1.0 - FIRST_SHARE) * 0.5 ** (looks - 1)


def adjust(p_value: float, information: Sequence[float]) -> float:
    """The p-value over all looks: the smallest alpha at which a study looked at in this way finds a difference.

    Args:
        p_value: two-sided, of the last look, adjusted for the number of settings.
        information: at each look, in any unit: 1 / (1 / runs + 1 / baseline's runs). Looks without more of it than any
            before do not count.

    Returns:
        p / .8 for a single look.
    """
    counted = rising(information)
    if len(counted) < 2:
        return min(1.0, p_value / FIRST_SHARE)
    return float(np.interp(p_value, _levels(_relative(counted)), _ALPHAS, right=1.0))


def level(alpha: float, information: Sequence[float]) -> float:
    """The p-value that is needed at the last of these looks; `adjust` is its inverse.

    With Brownian motion B at the looks' information I_1 < ... < I_l, the limit c_i of look i is the one with
    P(|B(I_j)| / sqrt(I_j) < c_j for j < i, |B(I_i)| / sqrt(I_i) >= c_i) = alpha (spent(i) - spent(i - 1)).
    """
    counted = rising(information)
    if len(counted) < 2:
        return alpha * FIRST_SHARE
    return float(np.interp(alpha, _ALPHAS, _levels(_relative(counted))))


def rising(information: Sequence[float]) -> list[float]:
    """The information of the looks that count."""
    return [value for i, value in enumerate(information) if value > max(information[:i], default=0.0)]


def _relative(information: Sequence[float]) -> tuple[float, ...]:
    return tuple(round(value / information[-1], 6) for value in information)


@functools.lru_cache
def _levels(information: tuple[float, ...]) -> np.ndarray:
    """`level` at each of _ALPHAS, by simulation."""
    rng = np.random.default_rng(0)
    steps = np.sqrt(np.diff((0.0, *information)))
    walks = np.abs(np.cumsum(rng.standard_normal((_DRAWS, len(information))) * steps, axis=1) / np.sqrt(information))
    return np.maximum.accumulate([_nominal(alpha, walks) for alpha in _ALPHAS])


def _nominal(alpha: float, walks: np.ndarray) -> float:
    alive = np.ones(len(walks), bool)
    limit = 0.0
    for look in range(walks.shape[1]):
        share = alpha * (spent(look + 1) - (spent(look) if look else 0.0))
        outside = round(share * len(walks))
        still = walks[alive, look]
        if outside >= len(still):
            return 1.0
        # The limit that so many of the walks still inside are beyond.
        limit = np.partition(still, len(still) - outside - 1)[len(still) - outside - 1] if outside else np.inf
        alive &= walks[:, look] <= limit
    return float(2 * stats.norm.sf(limit))


def read(record: Any) -> list[Look]:
    """The looks in a study's record; what is damaged there is no look."""
    found = []
    for entry in record if isinstance(record, list) else []:
        if isinstance(entry, dict) and isinstance(entry.get("runs"), dict):
            runs = {str(name): n for name, n in entry["runs"].items() if isinstance(n, int) and n >= 0}
            found.append(Look(str(entry.get("when", "")), runs))
    return found


def record(workdir: Path, runs: Mapping[str, int]) -> dict[str, Any]:
    """Adds a look to WORKDIR/study.json, if a setting has more runs than at any look before, and gives the record.

    A workdir that cannot be written to, or has no study.json, is only read: its looks were recorded by its owner.

    Args:
        runs: name of each setting -> how many finished runs it has.
    """
    file = workdir / "study.json"
    try:
        known = json.loads(file.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(known, dict):
        return {}
    before = read(known.get("looks"))
    if any(n > max((look.runs.get(name, 0) for look in before), default=0) for name, n in runs.items()):
        now = datetime.datetime.now(datetime.UTC).isoformat(" ", "minutes")
        looked = [*before, Look(now, runs)]
        known["looks"] = [{"when": look.when, "runs": dict(look.runs)} for look in looked]
        with contextlib.suppress(OSError, InputError):
            files.write_whole(file, json.dumps(known, indent=2) + "\n")
    return known
