"""The figures of a report. Narrow, so that they can be read on a phone; colours of Okabe and Ito, for every eye.

matplotlib is imported when the first figure is drawn, and only its Agg and SVG backends.
"""

import io
import math
import re
import textwrap
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from stablefit.errors import InputError
from stablefit.study import statistics
from stablefit.study.findings import Group, Setting, reinit_series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 4.8  # inches
BLUE, RED, GREY, DARK = "#0072b2", "#d55e00", "#8a8a8a", "#222222"
STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 8.5,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": DARK,
    "axes.linewidth": 0.7,
    "axes.titlelocation": "left",
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.3,
    "figure.facecolor": "white",
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "svg.fonttype": "none",  # letters stay letters: they can be searched and copied
}


class Drawing(NamedTuple):
    """A figure as two files, with what it shows in words."""

    name: str
    caption: str
    svg: str
    png: bytes

    def inline(self) -> str:
        """The `<svg>` element for a page: without the prolog, the metadata and ids that nothing refers to."""
        svg = re.sub(r"<metadata>.*?</metadata>", "", self.svg[self.svg.index("<svg") :], flags=re.DOTALL)
        svg = svg.replace("<svg ", f'<svg role="img" aria-label="{self.name}" ', 1)
        used = set(re.findall(r'(?:href="|url\()#([^")]+)', svg))
        # An angle bracket in a text is escaped, so that this finds elements alone.
        return re.sub(r'(<\w+) id="([^"]*)"', lambda tag: tag[0] if tag[2] in used else tag[1], svg)


def draw_all(group: Group) -> list[Drawing]:
    """All figures of a group that its runs allow.

    Raises:
        InputError: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError:
        raise InputError("the report needs matplotlib: pip install 'stablefit[report]'") from None
    metric, task = group.metric, group.task.name
    dotted = " The dotted line is the baseline's last loss." if len(group.settings) > 1 else ""
    plans: list[tuple[str, str, Callable[[Group], Any]]] = [
        (
            "scores",
            f"Test {metric} of every run, at its best step on validation. A dot is a run. The box holds the middle "
            "half, its line is the median, the diamond the mean; whiskers end at the last run within 1.5 boxes. Fewer "
            f"than {statistics.MIN_SEEDS} runs have no box.",
            _scores,
        ),
        (
            "reinit",
            f"Test {metric} against the number of re-initialised layers, all else equal. The line joins the means.",
            _reinit,
        ),
        (
            "loss",
            f"Training loss, averaged over the last {group.window} batches: median over the runs, and the band of the "
            f"middle half.{dotted}",
            _loss,
        ),
        (
            "best-of-k",
            f"What k seeds give. Solid: test {metric} of the run that is best on validation among k. Dashed: the "
            "expected maximum of k test scores, which is what picking the best seed on the test set would report.",
            _best_of,
        ),
    ]
    drawings = []
    for kind, caption, draw in plans:
        name = f"{task}-{kind}"
        # A salt makes ids the same each time, and those of two figures on one page different.
        style: dict[Any, Any] = {**STYLE, "svg.hashsalt": name}
        with matplotlib.rc_context(style):
            figure = draw(group)
            if figure is not None:
                drawings.append(Drawing(name, caption, *_files(figure)))
    return drawings


def _files(figure: "Figure") -> tuple[str, bytes]:
    svg, png = io.StringIO(), io.BytesIO()
    with warnings.catch_warnings():
        # A name may hold letters that the font lacks; the SVG has them as text, and a browser finds a font.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.savefig(svg, format="svg", metadata=nothing)
        figure.savefig(png, format="png", dpi=200, metadata={"Software": None})
    return svg.getvalue(), png.getvalue()


def _figure(height: float) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _legend(figure: "Figure", axes: "Axes", place: Literal["outside upper left", "outside lower left"]) -> None:
    handles, labels = axes.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    figure.legend(list(unique.values()), list(unique), loc=place, ncols=3, handlelength=1.6)


def _scores(group: Group) -> "Figure | None":
    settings = group.finished
    if not settings:
        return None
    labels = [_label(setting) for setting in settings]
    # A row is as high as its label; places are in inches from the top.
    heights = [0.3 + 0.14 * label.count("\n") for label in labels]
    places = [sum(heights[:i]) + height / 2 for i, height in enumerate(heights)]
    figure = _figure(sum(heights) + 0.95)
    axes = figure.subplots()
    left, right = _limits(group)
    _majority(axes.axvline, group)
    for place, setting in zip(places, settings, strict=True):
        _box(axes, place, setting, setting is group.settings[0], 0.26)
        _dots(axes, place, setting, left + 0.02 * (right - left), 0.2)
    axes.set_yticks(places, labels)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_ylim(sum(heights), 0)
    axes.set_xlim(left, right)
    axes.set_xlabel(f"test {group.metric}")
    axes.locator_params(axis="x", nbins=5)
    axes.grid(axis="x", color="#e6e6e6", linewidth=0.6)
    axes.set_axisbelow(True)
    _legend(figure, axes, "outside lower left")
    return figure


def _label(setting: Setting) -> str:
    """The name, wrapped, and below it how many runs there are."""
    summary = setting.summary
    assert summary is not None
    failed = f", {summary.n_failed} failed" if summary.n_failed else ""
    return f"{_wrapped(setting.name, 24, 3)}\nn = {summary.n}{failed}"


def _wrapped(name: str, width: int, lines: int) -> str:
    return "\n".join(textwrap.wrap(name, width, max_lines=lines, placeholder=" …") or ["(no name)"])


def _limits(group: Group) -> tuple[float, float]:
    """From the lowest to the highest score, and the majority line if it is near.

    Diverged runs, whose score is 0, and a line far below would press everything else together.
    """
    scores = [
        score
        for setting in group.finished
        for score, row in zip(setting.cell.runs().scores, setting.cell.rows, strict=True)
        if not row["diverged"]
    ]
    low, high = min(scores, default=0.0), max(scores, default=1.0)
    if low - 2 * (high - low) <= group.majority <= high + 2 * (high - low):
        low, high = min(low, group.majority), max(high, group.majority)
    margin = 0.06 * (high - low) or 0.05
    return low - margin, high + margin


def _majority(line: Callable[..., Any], group: Group) -> None:
    low, high = _limits(group)
    word = "majority class" if group.task.n_classes and group.metric in ("accuracy", "f1") else "chance"
    label = f"{word} {group.majority:.3f}"
    if not low <= group.majority <= high:
        label += " (off the axis)"
    line(group.majority, color=DARK, linewidth=0.9, linestyle=(0, (4, 3)), label=label)


def _box(
    axes: "Axes", place: float, setting: Setting, is_baseline: bool, width: float, horizontal: bool = True
) -> None:
    scores = setting.cell.runs().scores
    if len(scores) < statistics.MIN_SEEDS:
        return
    line = {"color": DARK, "linewidth": 0.9}
    axes.boxplot(
        [scores],
        positions=[place],
        orientation="horizontal" if horizontal else "vertical",
        widths=width,
        showfliers=False,  # every run is drawn as a dot
        patch_artist=True,
        boxprops={"facecolor": "#e4e4e4" if is_baseline else "#d6e8f5", "edgecolor": DARK, "linewidth": 0.7},
        medianprops=line | {"linewidth": 1.6},
        whiskerprops=line,
        capprops=line,
        manage_ticks=False,
    )
    x, y = (scores.mean(), place) if horizontal else (place, scores.mean())
    axes.plot(x, y, "D", markerfacecolor="none", markeredgecolor=DARK, markersize=5, zorder=4, label="mean")


def _dots(axes: "Axes", place: float, setting: Setting, edge: float, width: float, horizontal: bool = True) -> None:
    """Every run, spread a little across its box in a fixed way; those that diverged at the edge."""
    rows = setting.cell.rows
    scores = setting.cell.runs().scores
    # Multiples of the golden ratio lie apart, and so do runs of like score, the same way each time.
    rank = np.argsort(np.argsort(scores, kind="stable"), kind="stable")
    across = place + width * ((rank * 0.618034 + 0.5) % 1 - 0.5)
    diverged = np.array([row["diverged"] for row in rows])
    failed = np.array([row["failed"] for row in rows]) & ~diverged
    scores = np.where(diverged, edge, scores)
    fine = ~failed & ~diverged
    kinds = [
        (fine, "run", {"marker": "o", "s": 13, "color": BLUE, "linewidths": 0, "alpha": 0.75}),
        (failed, "failed run", {"marker": "x", "s": 26, "color": RED, "linewidths": 1.4}),
        (diverged, "diverged, score 0", {"marker": "<" if horizontal else "v", "s": 26, "color": RED}),
    ]
    for chosen, label, style in kinds:
        if chosen.any():
            points = (scores[chosen], across[chosen])
            axes.scatter(*(points if horizontal else points[::-1]), zorder=3, clip_on=False, label=label, **style)


def _reinit(group: Group) -> "Figure | None":
    series = reinit_series(group)
    if not series:
        return None
    figure = _figure(2.9)
    axes = figure.subplots()
    low, high = _limits(group)
    _majority(axes.axhline, group)
    for layers, setting in series:
        _box(axes, layers, setting, setting is group.settings[0], 0.56, horizontal=False)
        _dots(axes, layers, setting, low + 0.03 * (high - low), 0.44, horizontal=False)
    means = [setting.cell.runs().scores.mean() for _, setting in series]
    axes.plot([layers for layers, _ in series], means, color=DARK, linewidth=1, zorder=3.5)
    axes.set_xticks([layers for layers, _ in series])
    axes.set_ylim(low, high)
    axes.set_xlabel("re-initialised layers")
    axes.set_ylabel(f"test {group.metric}")
    _legend(figure, axes, "outside lower left")
    return figure


def _panels(group: Group, settings: Sequence[Setting], x: str, y: str, draw: Callable[..., None]) -> "Figure | None":
    """A panel for each setting, with the baseline behind it; one panel for the baseline if it is alone.

    Args:
        settings: those that can be drawn.
        draw: of axes, a setting, a colour and a label.
    """
    baseline = group.settings[0]
    shown = [setting for setting in settings if setting is not baseline]
    if not settings:
        return None
    if not shown:
        figure = _figure(2.8)
        axes = figure.subplots()
        draw(axes, baseline, BLUE, baseline.name)
        axes.set(xlabel=x, ylabel=y)
        return figure
    columns = min(2, len(shown))
    rows = math.ceil(len(shown) / columns)
    figure = _figure(0.7 + (1.55 * rows if columns > 1 else 2.4))
    panels: list[Axes] = list(figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat)
    for axes, setting in zip(panels, shown, strict=False):
        axes.set_title(_wrapped(setting.name, 32, 2))
        axes.tick_params(length=2.5)
        if baseline in settings:
            draw(axes, baseline, GREY, f"baseline: {_wrapped(baseline.name, 30, 1)}")
        draw(axes, setting, BLUE, "the setting")
    for axes in panels[len(shown) :]:
        axes.set_axis_off()
    # With an odd number the last row has no panel on the right; the one above it then carries the numbers.
    for axes in panels[len(shown) - columns : len(shown)]:
        axes.tick_params(labelbottom=True)
        axes.set_xlabel(x)
    figure.supylabel(y, fontsize=9)
    _legend(figure, panels[0], "outside upper left")
    return figure


def _loss(group: Group) -> "Figure | None":
    settings = [setting for setting in group.settings if setting.curve]
    figure = _panels(group, settings, "step", "training loss", _band)
    target = group.settings[0].curve
    if figure is not None and target is not None and len(settings) > 1:
        for axes in figure.axes[: len(settings) - 1]:
            axes.axhline(float(target.median[-1]), color=GREY, linewidth=0.8, linestyle=":")
    return figure


def _band(axes: "Axes", setting: Setting, colour: str, label: str) -> None:
    curve = setting.curve
    assert curve is not None
    # More points than pixels only make the file large.
    kept = np.unique(np.linspace(0, len(curve.steps) - 1, 160).round().astype(int))
    steps = curve.steps[kept]
    axes.fill_between(steps, curve.low[kept], curve.high[kept], color=colour, alpha=0.22, linewidth=0)
    axes.plot(steps, curve.median[kept], color=colour, label=label)


def _best_of(group: Group) -> "Figure | None":
    settings = [setting for setting in group.finished if len(setting.cell.rows) > 1]
    figure = _panels(group, settings, "k, number of seeds", f"test {group.metric}", _expected)
    if figure is not None:
        last = max(len(setting.cell.rows) for setting in settings)
        figure.axes[0].set_xticks(range(1, last + 1, max(1, round(last / 5))))
    return figure


def _expected(axes: "Axes", setting: Setting, colour: str, label: str) -> None:
    scores = setting.cell.runs().scores
    chosen, _ = statistics.best_by_validation(setting.cell.validation(), scores)
    k = np.arange(1, len(scores) + 1)
    axes.plot(k, chosen, color=colour, label=label)
    axes.plot(k, statistics.expected_maximum(scores), color=colour, linewidth=1, linestyle=(0, (3, 2)))
