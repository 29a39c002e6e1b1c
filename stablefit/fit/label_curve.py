"""What more labels would give, from scores at several numbers of training rows."""

import dataclasses
import math
from collections.abc import Sequence

from stablefit.fit import wording
from stablefit.fit.row_scores import Measured

_MORE = 200
_WORTH = 0.01  # a gain that is surely below this is called hardly any


@dataclasses.dataclass(frozen=True)
class CurvePoint:
    """The score of models trained on `n` rows, with its 95 % interval."""

    n: int
    score: Measured


@dataclasses.dataclass(frozen=True)
class LabelCurve:
    """A learning curve, and what `more` rows would add if it goes on as between its last two points."""

    points: tuple[CurvePoint, ...]
    more: int
    gain: Measured
    says: str


def label_curve(
    points: Sequence[tuple[int, float, float, float]], metric: str, units: str = "rows"
) -> LabelCurve | None:
    """The curve and the answer to "would 200 more labels help?"; None for fewer than two sizes.

    The score is taken to go on in a straight line over log n, through the last two points: what curves of this kind do
    at best, since they flatten. The interval has the two points as independent, so it is rather too wide where they are
    of the same rows.

    Args:
        points: (training rows, score, low, high), any order; of one size the last counts.
        metric: what the score is; a score where more is better.
        units: what is labelled, or annotated.
    """
    ordered = sorted({int(n): (value, low, high) for n, value, low, high in points}.items())
    if len(ordered) < 2:
        return None
    curve = tuple(CurvePoint(n, Measured(float(value), float(low), float(high))) for n, (value, low, high) in ordered)
    before, last = curve[-2:]
    more = min(_MORE, last.n)
    factor = math.log((last.n + more) / last.n) / math.log(last.n / before.n)
    gain = factor * (last.score.value - before.score.value)
    half = factor * math.hypot(*((point.score.high - point.score.low) / 2 for point in (before, last)))
    measured = Measured(gain, gain - half, gain + half)
    return LabelCurve(curve, more, measured, _answer(measured, more, before.n, last.n, wording.METRICS[metric], units))


def _answer(gain: Measured, more: int, before: int, last: int, metric: str, units: str) -> str:
    value, low, high = (wording.points(x) for x in (gain.value, gain.low, gain.high))
    if not math.isfinite(gain.low):
        said = f"Too few {units} to say"
    elif gain.low > 0:
        said = "Probably yes"
    elif gain.high < _WORTH:
        said = "Hardly"
    else:
        said = f"These {units} cannot tell"
    limits = wording.between(low, high)
    return (
        f"Would {more} more {'labels' if units == 'rows' else units} help? {said}: if the curve goes on as from "
        f"{before} to {last} training {units}, {value} points of {metric} ({limits}). Curves flatten, so this is more "
        "likely too much than too little."
    )
