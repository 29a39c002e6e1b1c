"""The forest plot: what every setting changes against the baseline, with its interval and every run behind it."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from stablefit.study import drawing, readable, verdicts
from stablefit.study.drawing import LIGHT
from stablefit.study.findings import Group, Setting
from stablefit.study.statistics import Runs
from stablefit.study.words import signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

_REACH = 4.0  # the axis ends at so many times the median distance of an interval's far end from 0


class Row(NamedTuple):
    """A line of the plot.

    Attributes:
        difference: NaN for the baseline.
        low, high: the interval; NaN where there is none.
        points: [n], of each run, or fold, what it has more than the baseline's run of the same seed, or than the
            baseline's mean where seeds are not shared.
        failed: [n], whether it failed, or the run that it is held against.
    """

    setting: Setting
    difference: float
    low: float
    high: float
    points: np.ndarray
    failed: np.ndarray


def ordered(group: Group) -> list[Setting]:
    """The compared settings, the largest difference first; controls after all others."""
    compared = [(setting, setting.comparison) for setting in group.settings if setting.comparison]
    return [setting for setting, c in sorted(compared, key=lambda pair: (pair[0].control, -pair[1].difference))]


def rows(group: Group) -> list[Row]:
    """The baseline and the compared settings; none if there is nothing to compare."""
    compared = ordered(group)
    if not compared:
        return []
    baseline = group.settings[0]
    base = _units(baseline, group)
    mean = float(base.scores.mean())
    out = [Row(baseline, math.nan, math.nan, math.nan, base.scores - mean, np.asarray(base.failed, bool))]
    for setting in compared:
        own, c = _units(setting, group), setting.comparison
        assert c is not None
        held = np.full(len(own.scores), mean)
        failed = np.asarray(own.failed, bool)
        if c.paired:
            place = {seed: i for i, seed in enumerate(base.seeds)}
            partners = [place[seed] for seed in own.seeds]
            held = base.scores[partners]
            failed = failed | np.asarray(base.failed, bool)[partners]
        out.append(Row(setting, c.difference, c.interval.low, c.interval.high, own.scores - held, failed))
    return out


def _units(setting: Setting, group: Group) -> Runs:
    """What is compared: runs, or in cross-validation the means of the folds."""
    if setting.judged.unit == "folds":
        return verdicts.of_folds(setting.cell.rows, group.task)
    return setting.cell.runs()


def limits(lines: Sequence[Row]) -> tuple[float, float]:
    """The ends of the axis: those of the intervals that matter.

    These are the intervals that end no farther from 0 than four times the median one does, and those of all settings
    found better. Runs that failed do not count: what they stretch is beyond the axis, and marked there.
    """
    spans: list[tuple[float, float]] = []
    for line in lines[1:]:
        fine = line.points[~line.failed]
        ends = [x for x in (line.difference, line.low, line.high) if math.isfinite(x)]
        dots = [float(fine.min()), float(fine.max())] if len(fine) and not line.failed.any() else []
        spans.append((min(ends), max(ends)) if not dots else (min(*ends, *dots), max(*ends, *dots)))
    far = [max(abs(low), abs(high)) for low, high in spans]
    most = _REACH * float(np.median(far))
    better = [high for line, (_, high) in zip(lines[1:], spans, strict=True) if line.setting.judged.outcome == "better"]
    within = [span for span, end in zip(spans, far, strict=True) if end <= most]
    low = min((low for low, _ in within), default=-most)
    high = max([high for _, high in within] + better, default=most)
    low, high = min(low, 0.0), max(high, 0.0)
    margin = 0.06 * (high - low) or 0.01
    return low - margin, high + margin


def said(group: Group, lines: Sequence[Row]) -> str:
    """The plot in words."""
    parts = []
    for line in lines[1:]:
        interval = f" ({signed(line.low)} to {signed(line.high)})" if math.isfinite(line.low) else ""
        parts.append(f"{line.setting.name} {signed(line.difference)}{interval}, {line.setting.judged.said}")
    metric = f"{readable.metric(group.task)} on {readable.data_set(group.task)}"
    return f"Difference in test {metric} from {lines[0].setting.name}. {'; '.join(parts)}."


def caption(group: Group, lines: Sequence[Row]) -> str:
    """How to read the plot."""
    c = next(setting.comparison for setting in group.settings if setting.comparison)
    unit = "fold" if group.settings[0].judged.unit == "folds" else "seed"
    dot = f"{'a fold' if unit == 'fold' else 'a run'} against the baseline's of the same {unit}"
    if not c.paired:
        dot = f"{'a fold' if unit == 'fold' else 'a run'} against the baseline's mean"
    text = f"Difference in test {readable.metric(group.task)} from {lines[0].setting.name}, the baseline. Dot: {dot}."
    if any(math.isfinite(line.low) for line in lines):
        text += f" Bar: {100 * (1 - verdicts.ALPHA):.0f} % interval, for all settings together."
    low, high = limits(lines)
    if any(_beyond(line, low, high) != (False, False) for line in lines):
        text += " Arrow: something lies beyond the axis."
    if any(line.failed.any() for line in lines):
        text += " Cross: a run failed. Beside the plot: how many runs failed."
    else:
        text += " No run failed."
    return text


def draw(group: Group, wide: bool) -> "Figure | None":
    """The plot, for a screen, or for a column of a paper or a telephone: there the name stands above its line."""
    lines = rows(group)
    if not lines:
        return None
    labels = [_label(line, 40 if wide else 42, 2 if wide else 1) for line in lines]
    heights = [(0.29 + 0.11 * label.count("\n")) if wide else 0.36 for label in labels]
    middles = [sum(heights[:i]) + height * (0.42 if wide else 0.62) for i, height in enumerate(heights)]
    figure = drawing.blank(drawing.WIDE if wide else drawing.COLUMN, sum(heights) + (0.75 if wide else 0.9))
    strip = any(line.failed.any() for line in lines)
    if strip:
        panels = figure.subplots(1, 2, sharey=True, width_ratios=(12, 1) if wide else (6, 1))
        axes: Axes = panels[0]
        _failures(panels[1], lines, middles)
    else:
        axes = figure.subplots()
    low, high = limits(lines)
    axes.axvline(0, color=LIGHT["quiet"], linewidth=0.8, zorder=1)
    for line, middle in zip(lines, middles, strict=True):
        _line(axes, line, middle, (low, high))
    axes.set(xlim=(low, high), ylim=(sum(heights), 0))
    if wide:
        axes.set_yticks(middles, labels)
        axes.tick_params(axis="y", length=0, labelsize=8, labelcolor=LIGHT["ink"])
    else:
        axes.set_yticks([])
        for label, middle in zip(labels, middles, strict=True):
            axes.annotate(
                label, (0, middle), (0, 6), xycoords=("axes fraction", "data"), textcoords="offset points",
                va="baseline", fontsize=7, color=LIGHT["ink"], annotation_clip=False,
            )  # fmt: skip
    axes.spines["left"].set_visible(False)
    axes.locator_params(axis="x", nbins=7 if wide else 5)
    axes.grid(axis="x", color=LIGHT["rule"], linewidth=0.5)
    axes.set_axisbelow(True)
    axes.set_xlabel(f"← worse   difference in test {readable.metric(group.task)}   better →".replace(" ", "\u00a0"))
    _legend(figure, lines, wide)
    return figure


def _label(line: Row, width: int, most: int) -> str:
    name = line.setting.name
    if math.isnan(line.difference):
        name += " (baseline)"
    elif line.setting.control:
        name += " (control)"
    return drawing.wrapped(name, width, most)


def _line(axes: "Axes", line: Row, middle: float, ends: tuple[float, float]) -> None:
    low, high = ends
    name, shape = drawing.mark(line.setting)
    colour = LIGHT[name]
    # Multiples of the golden ratio lie apart, and so do runs of like score, the same way each time.
    rank = np.argsort(np.argsort(line.points, kind="stable"), kind="stable")
    across = middle + 0.085 + 0.05 * ((rank * 0.618034 + 0.5) % 1 - 0.5)
    inside = (line.points >= low) & (line.points <= high)
    fine, bad = inside & ~line.failed, inside & line.failed
    axes.scatter(line.points[fine], across[fine], s=7, color=colour, alpha=0.6, linewidths=0, zorder=2)
    axes.scatter(line.points[bad], across[bad], s=10, marker="x", color=colour, linewidths=0.8, zorder=2)
    if math.isfinite(line.low):
        axes.plot(
            [max(line.low, low), min(line.high, high)], [middle] * 2, color=colour, linewidth=1.8,
            solid_capstyle="butt", zorder=3,
        )  # fmt: skip
    if low <= line.difference <= high:
        axes.scatter(
            [line.difference], [middle], s=30, marker=shape, zorder=4, linewidths=1,
            facecolor=LIGHT["paper"] if name == "same" else colour, edgecolor=colour,
        )  # fmt: skip
    _arrows(axes, line, middle, ends, colour)


def _beyond(line: Row, low: float, high: float) -> tuple[bool, bool]:
    """Whether anything of a line lies below the axis, and above it."""
    values = [x for x in (line.difference, line.low, line.high, *line.points) if math.isfinite(x)]
    return min(values) < low, max(values) > high


def _arrows(axes: "Axes", line: Row, middle: float, ends: tuple[float, float], colour: str) -> None:
    """A mark at the end of the axis that something lies beyond; the difference in figures if it is that."""
    low, high = ends
    for is_beyond, end, shape, side in zip(_beyond(line, low, high), ends, "<>", (1, -1), strict=True):
        if not is_beyond:
            continue
        axes.scatter([end], [middle], s=16, marker=shape, color=colour, linewidths=0, clip_on=False, zorder=5)
        if line.difference * side < end * side:
            seen = line.high if side > 0 else line.low  # the other end of the interval may be on the axis
            place = seen if math.isfinite(seen) and low < seen < high else end
            axes.annotate(
                signed(line.difference), (place, middle), (side * 6, 0), textcoords="offset points", va="center",
                ha="left" if side > 0 else "right", fontsize=7, color=colour,
            )  # fmt: skip


def _failures(axes: "Axes", lines: Sequence[Row], middles: Sequence[float]) -> None:
    """The strip of failed runs."""
    for line, middle in zip(lines, middles, strict=True):
        s = line.setting.summary
        assert s is not None
        style: dict[str, Any] = {"va": "center", "ha": "left", "fontsize": 7, "color": LIGHT["quiet"]}
        style |= {"color": LIGHT["worse"], "fontweight": "bold"} if s.n_failed else {}
        axes.text(0.0, middle, f"{s.n_failed} of {s.n}", **style)
    axes.set_xlim(0, 1)
    axes.set_xticks([])
    axes.tick_params(axis="y", length=0, labelleft=False)
    axes.set_xlabel("failed")
    axes.spines[["left", "bottom"]].set_visible(False)


def _legend(figure: "Figure", lines: Sequence[Row], wide: bool) -> None:
    keys = []
    for outcome, (name, shape) in drawing.MARKS.items():
        if any(line.setting.judged.outcome == outcome for line in lines):
            face = LIGHT["paper"] if name == "same" else LIGHT[name]
            keys.append(_key(outcome, shape, markerfacecolor=face, markeredgecolor=LIGHT[name], markersize=5))
    units = {line.setting.judged.unit for line in lines}
    keys.append(_key("one fold" if units == {"folds"} else "one run", "o", color=LIGHT["quiet"], markersize=3))
    if any(line.failed.any() for line in lines):
        keys.append(_key("failed", "x", color=LIGHT["quiet"], markersize=4))
    figure.legend(handles=keys, loc="outside lower left", ncols=6 if wide else 3, handletextpad=0.2)


def _key(label: str, shape: str, **style: Any) -> "Line2D":
    from matplotlib.lines import Line2D

    return Line2D([], [], linestyle="none", marker=shape, label=label, **style)


def drawn(group: Group) -> drawing.Drawing | None:
    """The plot for the page, wide and narrow, and as PDF and PNG for a column of a paper; None without a comparison."""
    lines = rows(group)
    name = f"{group.task.name}-differences"
    wide = drawing.drawn(name, lambda: draw(group, wide=True))
    column = drawing.drawn(f"{name}-column", lambda: draw(group, wide=False))
    if wide is None or column is None:
        return None
    return drawing.Drawing(
        name,
        caption(group, lines),
        said(group, lines),
        svg=drawing.svg_of(wide),
        png=drawing.saved(column, "png"),
        pdf=drawing.saved(column, "pdf"),
        narrow=drawing.svg_of(column),
    )
