"""The pages of the methods with a picture each, from the docstrings and from the methods themselves.

python -m experiments.method_pictures        writes docs/methods.md and docs/methods/: half a minute
"""

import html
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments import method_data, method_update_data
from experiments.method_data import Picture, Series
from stablefit import methods_page
from stablefit.study import drawing

DOCS = Path(__file__).parents[1] / "docs"
SIZE = 5.6, 2.7  # inches


def pictures() -> dict[str, Callable[[], Picture]]:
    """The picture of each method, by its name."""
    found: dict[str, Callable[[], Picture]] = {}
    for name in methods_page.METHODS:
        module = method_data if hasattr(method_data, name) else method_update_data
        found[name] = getattr(module, name)
    return found


def svg(name: str, picture: Picture) -> str:
    """The picture on a white card, legible in a light and in a dark page; its numbers are in `<metadata>`."""
    drawn = drawing.drawn(name, lambda: figure(picture))
    assert drawn is not None
    text = drawing.svg_of(drawn)
    text = re.sub(r"<metadata>.*?</metadata>\n?", "", text[text.index("<svg") :], flags=re.DOTALL)
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', text))
    text = re.sub(r'(<\w+) id="([^"]*)"', lambda tag: tag[0] if tag[2] in used else tag[1], text)
    text = text.replace("'DejaVu Sans'", "system-ui,'DejaVu Sans',sans-serif")
    title, numbers = (html.escape(part, quote=False) for part in (picture.caption, json.dumps(data(picture))))
    about = f"<title>{title}</title><metadata>{numbers}</metadata>"
    return re.sub(r"(<svg [^>]*>)", lambda head: head[1] + about, _compact(text), count=1)


def _compact(svg: str) -> str:
    """Each style once, as a class; no indents and no empty turns."""
    svg = re.sub(r"\s*\n\s*", " ", re.sub(r' transform="rotate\(-0 [^"]*"', "", svg)).replace("> <", ">\n<").strip()
    styles = list(dict.fromkeys(re.findall(r' style="([^"]*)"', svg)))
    svg = re.sub(r' style="([^"]*)"', lambda style: f' class="s{styles.index(style[1])}"', svg)
    rules = "".join(f".s{i}{{{style}}}" for i, style in enumerate(styles))
    return svg.replace("</style>", f"{rules}</style>", 1) + "\n"


def shown(picture: Picture) -> methods_page.Shown:
    """The picture in words."""
    labels = "; ".join(series.label for series in picture.series)
    return methods_page.Shown(f"{picture.y_label} by {picture.x_label}: {labels}", picture.caption)


def data(picture: Picture) -> dict[str, list[float]]:
    """What is plotted, by label, to four digits."""
    return {series.label: [float(f"{y:.4g}") for y in series.y] for series in picture.series}


def data_of(svg: str) -> dict[str, list[float]]:
    """What a file says that it plots."""
    found = re.search(r"<metadata>(.*?)</metadata>", svg, flags=re.DOTALL)
    return json.loads(html.unescape(found[1])) if found else {}


def figure(picture: Picture) -> Any:
    """The figure: the legend above, so that no line runs through it."""
    figure = drawing.blank(*SIZE)
    axes = figure.add_subplot()
    for series in picture.series:
        _plot(axes, series)
    for which, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
        if which in picture.log:
            axes.set(**{f"{which}scale": "log"})
            axis.set_major_formatter(lambda value, position: f"{value:g}")
    axes.minorticks_off()
    if "y" not in picture.log:
        low, high = axes.get_ylim()
        axes.set_ylim(min(low, -0.02 * high) if low < 0.3 * high else low, high)
    if picture.names:
        axes.set_xticks(np.arange(len(picture.names)), picture.names)
        axes.tick_params(axis="x", length=0)
    axes.set_xlabel(picture.x_label)
    axes.set_ylabel(picture.y_label)
    axes.grid(axis="y", color=drawing.LIGHT["rule"], linewidth=0.5)
    axes.set_axisbelow(True)
    figure.legend(loc="outside upper left", ncols=min(len(picture.series), 2 if _long(picture) else 4))
    return figure


def _long(picture: Picture) -> bool:
    return sum(len(series.label) for series in picture.series) > 75


def _plot(axes: Any, series: Series) -> None:
    axes.plot(
        series.x,
        series.y,
        color=drawing.LIGHT[series.colour],
        linestyle=series.line,
        linewidth=1.5,
        marker=series.mark,
        markersize={"_": 9, ".": 3}.get(series.mark, 5),
        markeredgewidth=1.4,
        markerfacecolor="none",
        label=series.label,
    )


def write(docs: Path) -> None:
    """All pages and pictures."""
    found = {name: of() for name, of in pictures().items()}
    for file, text in methods_page.pages({name: shown(picture) for name, picture in found.items()}).items():
        (docs / file).parent.mkdir(exist_ok=True)
        (docs / file).write_text(text)
    for name, picture in found.items():
        (docs / "methods" / f"{name}.svg").write_text(svg(name, picture))


def main(argv: Sequence[str]) -> int:
    if argv:
        raise SystemExit(__doc__)
    write(DOCS)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
