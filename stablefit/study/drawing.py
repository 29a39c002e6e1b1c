"""How figures are drawn and written: sizes, colours of the page's two themes, and the files.

matplotlib is imported when the first figure is drawn, and only its Agg, SVG and PDF backends.
"""

import contextlib
import html
import io
import re
import textwrap
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from stablefit.errors import InputError
from stablefit.study.findings import Setting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMN, WIDE = 3.3, 8.0  # inches: a column of a paper, and what a wide screen has room for

# Blue and vermilion, after Okabe and Ito, are told apart by every kind of eye; what says so is tested.
LIGHT = {
    "paper": "#ffffff", "ink": "#1b1b1b", "quiet": "#5c5c5c", "rule": "#dcdcdc", "wash": "#f5f5f3",
    "better": "#0067a8", "worse": "#b84700", "same": "#727272", "warning": "#fdf1e9",
}  # fmt: skip
DARK = {
    "paper": "#16181a", "ink": "#e8e6e3", "quiet": "#a5a29d", "rule": "#3a3d40", "wash": "#202326",
    "better": "#64b5ec", "worse": "#ff9a57", "same": "#979797", "warning": "#33241a",
}  # fmt: skip
# What a verdict looks like: a colour of the themes, and a shape for who sees none.
MARKS = {
    "better": ("better", "^"),
    "worse": ("worse", "v"),
    "no difference found": ("same", "o"),
    "cannot decide": ("same", "D"),
}
STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 7.5,
    "text.color": LIGHT["ink"],
    "axes.titlesize": 7.5,
    "axes.labelsize": 7.5,
    "axes.labelcolor": LIGHT["quiet"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": LIGHT["quiet"],
    "axes.linewidth": 0.6,
    "axes.titlelocation": "left",
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.color": LIGHT["quiet"],
    "ytick.color": LIGHT["quiet"],
    "legend.fontsize": 7,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "figure.facecolor": LIGHT["paper"],
    "axes.facecolor": "none",
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "svg.fonttype": "none",  # letters stay letters: they can be searched and copied
    "pdf.fonttype": 42,  # what publishers ask for
}
_NO_DATES = {
    "svg": {"Date": None, "Creator": None, "Format": None, "Type": None},
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


class Drawing(NamedTuple):
    """A figure as files, with what it shows in words.

    Args:
        name: of the files.
        caption: below it.
        said: what it shows, for who cannot see it.
        svg, png, pdf: the files; a PDF only of what a paper has room for.
        narrow: a second SVG for a narrow screen; empty where one does for all.
    """

    name: str
    caption: str
    said: str
    svg: str
    png: bytes
    pdf: bytes = b""
    narrow: str = ""

    @property
    def files(self) -> dict[str, str | bytes]:
        """Name -> content."""
        files: dict[str, str | bytes] = {f"{self.name}.svg": self.svg, f"{self.name}.png": self.png}
        return files | ({f"{self.name}.pdf": self.pdf} if self.pdf else {})

    def inline(self) -> list[str]:
        """The `<svg>` elements for a page, in the colours of its theme: one, or one for wide and one for narrow."""
        return [_themed(svg, self.said) for svg in (self.svg, self.narrow) if svg]


def _themed(svg: str, said: str) -> str:
    """Without the prolog, the metadata and ids that nothing refers to; with the page's colours and letters."""
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{html.escape(said)}" ', 1)
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', svg))
    # An angle bracket in a text is escaped, so that these find elements alone.
    svg = re.sub(r'(<\w+) id="([^"]*)"', lambda tag: tag[0] if tag[2] in used else tag[1], svg)
    return re.sub(r"<(?!svg )[^>]*>", lambda tag: _in_theme(tag[0]), svg)


def _in_theme(tag: str) -> str:
    for name, colour in LIGHT.items():
        tag = tag.replace(colour, f"var(--{name})")
    return tag.replace("'DejaVu Sans'", "system-ui,'DejaVu Sans',sans-serif")


def drawn(name: str, draw: Callable[[], "Figure | None"]) -> "Figure | None":
    """The figure in the style of the report.

    Raises:
        InputError: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError:
        raise InputError("the report needs matplotlib: pip install 'stablefit[report]'") from None
    # A salt makes ids the same each time, and those of two figures on one page different.
    style: dict[Any, Any] = {**STYLE, "svg.hashsalt": name}
    with _without_glyph_warnings(), matplotlib.rc_context(style):
        figure = draw()
        if figure is not None:
            figure.set_label(name)
            figure.draw_without_rendering()  # lays it out, once for all files
            figure.set_layout_engine("none")
        return figure


def saved(figure: "Figure", kind: str) -> bytes:
    """The figure as a file of a kind: svg, png or pdf; the same bytes each time."""
    import matplotlib

    out = io.BytesIO()
    style: dict[Any, Any] = {**STYLE, "svg.hashsalt": str(figure.get_label())}
    with _without_glyph_warnings(), matplotlib.rc_context(style):
        figure.savefig(out, format=kind, dpi=300 if kind == "png" else "figure", metadata=_NO_DATES[kind])
    return out.getvalue()


@contextlib.contextmanager
def _without_glyph_warnings() -> Iterator[None]:
    """A name may hold letters that the font lacks; the SVG has them as text, and a browser finds a font."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def svg_of(figure: "Figure") -> str:
    """The figure as SVG, in hundredths of a point; the same bytes on every processor.

    The last bit of a coordinate differs between processors: matplotlib's ids, hashes of coordinates, become numbers in
    their order, and digits are rounded, since 7.199999 and 7.2 are one.
    """
    svg = re.sub(r"<!--.*?-->\n?", "", saved(figure, "svg").decode(), flags=re.DOTALL)
    names = {hashed: f"{_plain(figure)}-{n}" for n, hashed in enumerate(dict.fromkeys(_HASHED.findall(svg)), start=1)}
    return re.sub(r"<[^>]*>", lambda tag: _rounded(_HASHED.sub(lambda found: names[found[0]], tag[0])), svg)


_HASHED = re.compile(r"(?<=[\"#])[a-z][0-9a-f]{10}(?=[\")])")


def _plain(figure: "Figure") -> str:
    return re.sub(r"\W", "-", str(figure.get_label()))


def _rounded(tag: str) -> str:
    return re.sub(r"-?\d+\.\d{3,}", lambda number: f"{round(float(number[0]), 2) + 0.0:g}", tag)


def blank(width: float, height: float) -> "Figure":
    """A figure of a size in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def wrapped(name: str, width: int, lines: int) -> str:
    """A name in so many lines at most."""
    return "\n".join(textwrap.wrap(name, width, max_lines=lines, placeholder=" …") or ["(no name)"])


def mark(setting: Setting) -> tuple[str, str]:
    """Colour, by its name in the themes, and shape of a setting's verdict."""
    return MARKS.get(setting.judged.outcome, ("same", "o"))
