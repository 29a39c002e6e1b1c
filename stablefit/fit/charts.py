"""Small charts as SVG written into a page: no script, no picture file, colours from the page's CSS variables.

Each is 360 units wide, so that its text is readable on a phone, and says in words what it shows (`aria-label`). Text is
escaped here. The classes are `grid`, `axis`, `ours`, `other`, `band`, `ideal`, `limits`, `name`, `value`.
"""

import html
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from stablefit.fit.calibration import Bin, Covered
from stablefit.fit.label_curve import CurvePoint
from stablefit.fit.row_scores import Measured
from stablefit.study.statistics import share_interval

WIDTH = 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 10, 36
MOST_POINTS = 1500  # of a scatter; more make a page slow and a blot


class Dot(NamedTuple):
    """A line of a dot plot: a name, its score, the score as written, and whether it is ours."""

    name: str
    score: Measured
    written: str
    ours: bool


def dot_plot(dots: Sequence[Dot], said: str) -> str:
    """Scores with their intervals below each other, on one axis; the name stands above its line."""
    finite = [x for dot in dots for x in (dot.score.value, dot.score.low, dot.score.high) if math.isfinite(x)]
    ticks = nice_ticks(min(finite), max(finite))
    across = _scale(ticks[0], ticks[-1], 10, WIDTH - 10)
    step, top = 42, 4
    height = top + step * len(dots) + 24
    parts = [_line(across(t), top, across(t), height - 22, "grid") for t in ticks]
    parts += [_text(across(t), height - 6, _written(t, ticks), _anchor(t, ticks)) for t in ticks]
    for i, dot in enumerate(dots):
        kind, y = "ours" if dot.ours else "other", top + step * i + 30
        parts.append(_text(10, y - 13, _short(dot.name, 38), kind="name strong" if dot.ours else "name"))
        parts.append(_text(WIDTH - 10, y - 13, dot.written, "end", "value"))
        if math.isfinite(dot.score.low):
            parts.append(_line(across(dot.score.low), y, across(dot.score.high), y, f"bar {kind}"))
        parts.append(f'<circle class="{kind}" cx="{across(dot.score.value):.1f}" cy="{y}" r="5"/>')
    return _svg(height, parts, said)


def reliability_plot(bins: Sequence[Bin], said: str, up: str) -> str:
    """What a probability promises (across) against what happens (up); a larger dot has more rows."""
    frame = _Frame((0.0, 0.25, 0.5, 0.75, 1.0), (0.0, 0.25, 0.5, 0.75, 1.0), 300, "probability it gives", up)
    some = [b for b in bins if b.n]
    largest = max(b.n for b in some)
    parts = [*frame.parts, frame.path([(0, 0), (1, 1)], "ideal")]
    for b in some:
        low, high = share_interval(round(b.accuracy * b.n), b.n)
        parts.append(frame.path([(b.confidence, low), (b.confidence, high)], "limits"))
        parts.append(frame.circle(b.confidence, b.accuracy, 1.5 + 7 * math.sqrt(b.n / largest), "ours"))
    return _svg(300, parts, said)


def coverage_plot(
    points: Sequence[Covered], said: str, up: str, across: str = "share of rows answered by the model"
) -> str:
    """The score of the rows that are kept, by how many are kept; the band is the interval."""
    limits = [x for p in points for x in (p.score.value, p.score.low, p.score.high) if math.isfinite(x)]
    low = 0.0 if min(limits) < 0.3 * max(limits) else min(limits)
    ups = nice_ticks(low, max(limits))
    frame = _Frame((0.0, 0.25, 0.5, 0.75, 1.0), ups, 240, across, up)
    band = [(p.coverage, p.score) for p in points if math.isfinite(p.score.low)]
    line = [(p.coverage, p.score.value) for p in points]
    parts = [*frame.parts, frame.band(band), frame.path(line, "line ours")]
    parts += [frame.circle(x, y, 2.2, "ours") for x, y in line]
    return _svg(240, parts, said)


def curve_plot(points: Sequence[CurvePoint], said: str, up: str, units: str = "rows") -> str:
    """The score by the number of training rows, or other units."""
    limits = [x for p in points for x in (p.score.value, p.score.low, p.score.high) if math.isfinite(x)]
    frame = _Frame(
        nice_ticks(0, max(p.n for p in points)), nice_ticks(min(limits), max(limits)), 240, f"training {units}", up
    )
    parts = [*frame.parts, frame.path([(p.n, p.score.value) for p in points], "line ours")]
    for p in points:
        if math.isfinite(p.score.low):
            parts.append(frame.path([(p.n, p.score.low), (p.n, p.score.high)], "bar ours"))
        parts.append(frame.circle(p.n, p.score.value, 4.5, "ours"))
    return _svg(240, parts, said)


def scatter(pairs: Sequence[tuple[float, float]], said: str) -> str:
    """Predicted (up) against true (across); of many rows evenly chosen ones, by their true number."""
    if len(pairs) > MOST_POINTS:
        ordered = sorted(pairs)
        pairs = [ordered[i] for i in np.linspace(0, len(ordered) - 1, MOST_POINTS).round().astype(int)]
    numbers = [x for pair in pairs for x in pair]
    ticks = nice_ticks(min(numbers), max(numbers))
    frame = _Frame(ticks, ticks, 320, "true", "predicted")
    parts = [*frame.parts, frame.path([(ticks[0], ticks[0]), (ticks[-1], ticks[-1])], "ideal")]
    parts += [frame.circle(x, y, 2.5, "point") for x, y in pairs]
    return _svg(320, parts, said)


def nice_ticks(low: float, high: float, about: int = 5) -> tuple[float, ...]:
    """Round numbers, about so many, from at or below `low` to at or above `high`.

    Examples:
        >>> nice_ticks(0.61, 0.83)
        (0.6, 0.65, 0.7, 0.75, 0.8, 0.85)
        >>> nice_ticks(3.0, 3.0)
        (2.0, 2.5, 3.0, 3.5, 4.0)
    """
    if not high > low:
        pad = abs(low) * 0.1 or 1.0
        low, high = (low - 1.0, high + 1.0) if abs(low) < 10 else (low - pad, high + pad)
    rough = (high - low) / (about - 1)
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * size for factor in (1, 2, 2.5, 5, 10) if factor * size >= rough * 0.8)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    digits = max(0, 2 - math.floor(math.log10(step)))
    return tuple(round(i * step, digits) for i in range(first, last + 1))


class _Frame:
    """Axes of a plot: positions of numbers, grid, ticks and the two names."""

    def __init__(self, xs: Sequence[float], ys: Sequence[float], height: int, across: str, up: str):
        self.x = _scale(xs[0], xs[-1], _LEFT, WIDTH - _RIGHT)
        self.y = _scale(ys[0], ys[-1], height - _BOTTOM, _TOP + 14)
        bottom = self.y(ys[0])
        self.parts = [_line(_LEFT, self.y(t), WIDTH - _RIGHT, self.y(t), "grid") for t in ys]
        self.parts += [_text(_LEFT - 6, self.y(t) + 4, _written(t, ys), "end") for t in ys]
        self.parts += [_text(self.x(t), bottom + 15, _written(t, xs), _anchor(t, xs, first="middle")) for t in xs]
        self.parts += [_line(_LEFT, bottom, WIDTH - _RIGHT, bottom, "axis")]
        self.parts += [_text((_LEFT + WIDTH - _RIGHT) / 2, bottom + 31, across, "middle", "name")]
        self.parts += [_text(4, _TOP + 2, up, kind="name")]

    def path(self, points: Sequence[tuple[float, float]], kind: str) -> str:
        steps = " ".join(f"{'L' if i else 'M'}{self.x(x):.1f} {self.y(y):.1f}" for i, (x, y) in enumerate(points))
        return f'<path class="{kind}" d="{steps}"/>'

    def band(self, points: Sequence[tuple[float, Measured]]) -> str:
        if not points:
            return ""
        corners = [(x, s.high) for x, s in points] + [(x, s.low) for x, s in reversed(points)]
        return self.path(corners, "band").replace('"/>', ' Z"/>')

    def circle(self, x: float, y: float, r: float, kind: str) -> str:
        return f'<circle class="{kind}" cx="{self.x(x):.1f}" cy="{self.y(y):.1f}" r="{r:.1f}"/>'


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    return lambda value: start + (value - low) / (high - low) * (end - start)


def _written(tick: float, ticks: Sequence[float]) -> str:
    """A tick with as many places as the steps need."""
    step = ticks[1] - ticks[0]
    places = next((d for d in range(5) if abs(step * 10**d - round(step * 10**d)) < 1e-6), 5)
    return f"{tick:.{places}f}" if abs(tick) < 1e6 else f"{tick:.3g}"


def _anchor(tick: float, ticks: Sequence[float], first: str = "start") -> str:
    """Ticks at the ends stay inside the picture."""
    return first if tick == ticks[0] else "end" if tick == ticks[-1] else "middle"


def _short(name: str, most: int) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<path class="{kind}" d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"/>'


def _text(x: float, y: float, words: str, anchor: str = "start", kind: str = "tick") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(words)}</text>'


def _svg(height: float, parts: Sequence[str], said: str) -> str:
    inside = "".join(parts)
    said = html.escape(" ".join(said.split()))
    return f'<svg role="img" aria-label="{said}" viewBox="0 0 {WIDTH} {height:.0f}">{inside}</svg>'
