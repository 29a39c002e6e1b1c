"""The figures of a report beside the forest plot: scores, losses, re-initialised layers, the best of several seeds.

Each is as wide as a column of a paper, and so can be read on a telephone.
"""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from stablefit.study import drawing, forest, readable, statistics
from stablefit.study.drawing import COLUMN, LIGHT, Drawing
from stablefit.study.findings import Group, Setting, reinit_series
from stablefit.study.words import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PANELS = 8
_MOST_LINES = 5  # of the figure of the best of k; more cannot be told apart
# Lines of one colour, which says the verdict, differ in the shape of their points and in their dashes.
_LINES: tuple[tuple[str, Any], ...] = (("o", "-"), ("^", "-"), ("s", "--"), ("D", ":"), ("v", "-."))


def draw_all(group: Group) -> list[Drawing]:
    """All figures of a group that its runs allow.

    Raises:
        InputError: matplotlib is not installed.
    """
    plot = forest.drawn(group)
    drawings = [plot] if plot else []
    plans = [("loss", _loss_words, _loss, True), ("reinit", _reinit_words, _reinit, False)]
    plans.append(("best-of-k", _best_words, _best_of, False))
    if plot is None:
        plans.insert(0, ("scores", _scores_words, _scores, True))
    for kind, words, draw, as_pdf in plans:
        name = f"{group.task.name}-{kind}"
        figure = drawing.drawn(name, lambda draw=draw: draw(group))
        if figure is not None:
            caption, said = words(group)
            pdf = drawing.saved(figure, "pdf") if as_pdf else b""
            drawings.append(Drawing(name, caption, said, drawing.svg_of(figure), drawing.saved(figure, "png"), pdf))
    return drawings


def decided(group: Group) -> list[Setting]:
    """The settings found better, the best first, then those found worse, the nearest to the baseline first."""
    return [setting for setting in forest.ordered(group) if setting.judged.outcome in ("better", "worse")]


def _legend(figure: "Figure", axes: "Axes", place: Literal["outside upper left", "outside lower left"]) -> None:
    handles, labels = axes.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    figure.legend(list(unique.values()), list(unique), loc=place, ncols=2, handlelength=1.6)


# --- scores, where there is nothing to compare


def _scores_words(group: Group) -> tuple[str, str]:
    metric = readable.metric(group.task)
    caption = (
        f"Test {metric} of every run, at its best step on validation. A dot is a run. The box holds the middle half, "
        "its line is the median, the diamond the mean; whiskers end at the last run within 1.5 boxes. Fewer than "
        f"{statistics.MIN_SEEDS} runs have no box."
    )
    means = [f"{s.name} {number(s.summary.mean)} on average" for s in group.finished if s.summary]
    return caption, f"Test {metric} of every run: {'; '.join(means)}."


def _scores(group: Group) -> "Figure | None":
    settings = group.finished
    if not settings:
        return None
    labels = [_label(setting) for setting in settings]
    # A row is as high as its label; places are in inches from the top.
    heights = [0.26 + 0.12 * label.count("\n") for label in labels]
    places = [sum(heights[:i]) + height / 2 for i, height in enumerate(heights)]
    figure = drawing.blank(COLUMN, sum(heights) + 1.0)
    axes = figure.subplots()
    left, right = _limits(group)
    _majority(axes.axvline, group)
    for place, setting in zip(places, settings, strict=True):
        _box(axes, place, setting, 0.24)
        _dots(axes, place, setting, left + 0.02 * (right - left), 0.18)
    axes.set_yticks(places, labels)
    axes.tick_params(axis="y", length=0, labelcolor=LIGHT["ink"])
    axes.spines["left"].set_visible(False)
    axes.set_ylim(sum(heights), 0)
    axes.set_xlim(left, right)
    axes.set_xlabel(f"test {readable.metric(group.task)}")
    axes.locator_params(axis="x", nbins=5)
    axes.grid(axis="x", color=LIGHT["rule"], linewidth=0.5)
    axes.set_axisbelow(True)
    _legend(figure, axes, "outside lower left")
    return figure


def _label(setting: Setting) -> str:
    """The name, wrapped, and below it how many runs there are."""
    summary = setting.summary
    assert summary is not None
    failed = f", {summary.n_failed} failed" if summary.n_failed else ""
    return f"{drawing.wrapped(setting.name, 20, 3)}\nn = {summary.n}{failed}"


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
    line(group.majority, color=LIGHT["quiet"], linewidth=0.9, linestyle=(0, (4, 3)), label=label)


def _box(axes: "Axes", place: float, setting: Setting, width: float, horizontal: bool = True) -> None:
    scores = setting.cell.runs().scores
    if len(scores) < statistics.MIN_SEEDS:
        return
    line = {"color": LIGHT["quiet"], "linewidth": 0.8}
    axes.boxplot(
        [scores],
        positions=[place],
        orientation="horizontal" if horizontal else "vertical",
        widths=width,
        showfliers=False,  # every run is drawn as a dot
        patch_artist=True,
        boxprops={"facecolor": LIGHT["wash"], "edgecolor": LIGHT["quiet"], "linewidth": 0.7},
        medianprops=line | {"color": LIGHT["ink"], "linewidth": 1.5},
        whiskerprops=line,
        capprops=line,
        manage_ticks=False,
    )
    x, y = (scores.mean(), place) if horizontal else (place, scores.mean())
    style = {"markerfacecolor": "none", "markeredgecolor": LIGHT["ink"], "markersize": 4.5, "zorder": 4}
    axes.plot(x, y, "D", label="mean", **style)


def _dots(axes: "Axes", place: float, setting: Setting, edge: float, width: float, horizontal: bool = True) -> None:
    """Every run, spread a little across its box in a fixed way; those that diverged at the edge."""
    rows = setting.cell.rows
    scores = setting.cell.runs().scores
    rank = np.argsort(np.argsort(scores, kind="stable"), kind="stable")
    across = place + width * ((rank * 0.618034 + 0.5) % 1 - 0.5)
    diverged = np.array([row["diverged"] for row in rows])
    failed = np.array([row["failed"] for row in rows]) & ~diverged
    scores = np.where(diverged, edge, scores)
    fine = ~failed & ~diverged
    kinds = [
        (fine, "run", {"marker": "o", "s": 9, "color": LIGHT["better"], "linewidths": 0, "alpha": 0.75}),
        (failed, "failed run", {"marker": "x", "s": 18, "color": LIGHT["worse"], "linewidths": 1.2}),
        (diverged, "diverged, score 0", {"marker": "<" if horizontal else "v", "s": 20, "color": LIGHT["worse"]}),
    ]
    for chosen, label, style in kinds:
        if chosen.any():
            points = (scores[chosen], across[chosen])
            axes.scatter(*(points if horizontal else points[::-1]), zorder=3, clip_on=False, label=label, **style)


# --- re-initialised layers


def _reinit_words(group: Group) -> tuple[str, str]:
    what = f"Test {readable.metric(group.task)} against the number of re-initialised layers, all else equal."
    means = [f"{layers}: {number(s.summary.mean)}" for layers, s in reinit_series(group) if s.summary]
    return f"{what} The line joins the means. Boxes hold the middle half.", f"{what} Means: {', '.join(means)}."


def _reinit(group: Group) -> "Figure | None":
    series = reinit_series(group)
    if not series:
        return None
    figure = drawing.blank(COLUMN, 2.4)
    axes = figure.subplots()
    low, high = _limits(group)
    scores = np.concatenate([setting.cell.runs().scores for _, setting in series])
    diverged = np.array([row["diverged"] for _, setting in series for row in setting.cell.rows])
    if not diverged.all():
        margin = 0.1 * float(np.ptp(scores[~diverged])) or 0.05
        low, high = float(scores[~diverged].min()) - margin, float(scores[~diverged].max()) + margin
    for layers, setting in series:
        _box(axes, layers, setting, 0.5, horizontal=False)
        _dots(axes, layers, setting, low + 0.03 * (high - low), 0.4, horizontal=False)
    means = [setting.cell.runs().scores.mean() for _, setting in series]
    axes.plot([layers for layers, _ in series], means, color=LIGHT["ink"], linewidth=1, zorder=3.5)
    axes.set_xticks([layers for layers, _ in series])
    axes.set_ylim(low, high)
    axes.set_xlabel("re-initialised layers")
    axes.set_ylabel(f"test {readable.metric(group.task)}")
    _legend(figure, axes, "outside lower left")
    return figure


# --- losses


def shown_losses(group: Group) -> list[Setting]:
    """The settings with a verdict that have losses: those found better, and those worse as far as there is room."""
    return [setting for setting in decided(group) if setting.curve][:MOST_PANELS]


def _loss_words(group: Group) -> tuple[str, str]:
    shown, all_decided = shown_losses(group), [setting for setting in decided(group) if setting.curve]
    caption = (
        f"Training loss on a log axis, averaged over the last {group.window} batches: median over the runs, and the "
        "band of the middle half."
    )
    if shown:
        caption += " Grey: the baseline; dotted: its last loss. Only settings found better or worse."
    elif len(group.settings) > 1:
        caption += " Only the baseline: no setting was found better or worse."
    if len(shown) < len(all_decided):
        caption += f" The first {len(shown)} of {len(all_decided)}."
    last = [f"{s.name} {number(float(s.curve.median[-1]))}" for s in (group.settings[0], *shown) if s.curve]
    return caption, f"Training loss over the steps; last medians: {'; '.join(last)}."


def _loss(group: Group) -> "Figure | None":
    baseline, shown = group.settings[0], shown_losses(group)
    if not baseline.curve and not shown:
        return None
    columns = min(2, max(1, len(shown)))
    rows = math.ceil(max(1, len(shown)) / columns)
    figure = drawing.blank(COLUMN, 0.65 + (1.35 * rows if columns > 1 else 1.9))
    panels: list[Axes] = list(figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat)
    for axes, setting in zip(panels, shown or [baseline], strict=False):
        if all(float(one.curve.low.min()) > 0 for one in (baseline, setting) if one.curve):
            axes.set_yscale("log")
        axes.tick_params(length=2, which="both")
        if shown:
            axes.set_title(drawing.wrapped(setting.name, 26 if columns > 1 else 54, 2))
        if baseline.curve and shown:
            _band(axes, baseline, LIGHT["same"])
            axes.axhline(float(baseline.curve.median[-1]), color=LIGHT["same"], linewidth=0.8, linestyle=":")
        _band(axes, setting, LIGHT[drawing.mark(setting)[0]] if shown else LIGHT["better"])
    for axes in panels[max(1, len(shown)) :]:
        axes.set_axis_off()
    # With an odd number the last row has no panel on the right; the one above it then carries the numbers.
    for axes in panels[max(0, len(shown) - columns) : max(1, len(shown))]:
        axes.tick_params(labelbottom=True)
        axes.set_xlabel("step")
    _plain_numbers(panels)
    figure.supylabel("training loss", fontsize=7.5, color=LIGHT["quiet"])
    return figure


def _plain_numbers(panels: Sequence["Axes"]) -> None:
    """0.05 and not 5 times ten to the power of -2, and few of them."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    for axes in panels:
        if axes.get_yscale() != "log":
            continue
        axes.yaxis.set_major_locator(LogLocator(10, subs=(1.0, 2.0, 5.0), numticks=8))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())


def _band(axes: "Axes", setting: Setting, colour: str) -> None:
    curve = setting.curve
    assert curve is not None
    # More points than pixels only make the file large.
    kept = np.unique(np.linspace(0, len(curve.steps) - 1, 90).round().astype(int))
    steps = curve.steps[kept]
    axes.fill_between(steps, curve.low[kept], curve.high[kept], color=colour, alpha=0.22, linewidth=0)
    axes.plot(steps, curve.median[kept], color=colour)


# --- the best of several seeds


def _best_settings(group: Group) -> list[Setting]:
    """The baseline and the settings with a verdict; none in cross-validation, where a best of folds means nothing."""
    if group.settings[0].judged.unit == "folds":
        return []
    shown = [group.settings[0], *decided(group)][:_MOST_LINES]
    return [setting for setting in shown if setting.judged.runs is not None and len(setting.cell.rows) > 1]


def _best_words(group: Group) -> tuple[str, str]:
    caption = (
        f"What k seeds give: test {readable.metric(group.task)} of the run that is best on validation among k, "
        "averaged over all draws."
    )
    shown = _best_settings(group)
    if len(group.settings) > 1:
        caption += " The baseline, and settings found better or worse"
        caption += (
            f", of {len(decided(group))} the first {_MOST_LINES - 1}." if len(decided(group)) >= _MOST_LINES else "."
        )
    ends = [f"{s.name} {number(float(_expected(s)[0]))} to {number(float(_expected(s)[-1]))}" for s in shown]
    return caption, f"Best of k seeds, from one seed to all: {'; '.join(ends)}."


def _best_of(group: Group) -> "Figure | None":
    settings = _best_settings(group)
    if not settings:
        return None
    figure = drawing.blank(COLUMN, 2.1 + 0.16 * len(settings))
    axes = figure.subplots()
    for setting, (shape, dashes) in zip(settings, _LINES, strict=False):
        expected = _expected(setting)
        every = max(1, len(expected) // 6)
        colour = "ink" if setting is group.settings[0] else drawing.mark(setting)[0]
        axes.plot(
            np.arange(1, len(expected) + 1), expected, color=LIGHT[colour], marker=shape, linestyle=dashes,
            markersize=3.5, markevery=every, label=drawing.wrapped(setting.name, 52, 1),
        )  # fmt: skip
    last = max(len(setting.cell.rows) for setting in settings)
    axes.set_xticks(range(1, last + 1, max(1, round(last / 5))))
    axes.set_xlabel("k, number of seeds")
    axes.set_ylabel(f"test {readable.metric(group.task)}")
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=1, handlelength=2.2)
    return figure


def _expected(setting: Setting) -> np.ndarray:
    return statistics.best_by_validation(setting.cell.validation(), setting.cell.runs().scores)[0]
