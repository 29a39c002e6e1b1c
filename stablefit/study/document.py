"""A document as a list of blocks, and its two forms: Markdown, and one HTML page that needs nothing else.

Every text in a block is plain. It is escaped once, where it is written: here for Markdown, for HTML by the autoescape
of the template.
"""

import dataclasses
import html
import re
from collections.abc import Sequence
from typing import ClassVar, Literal

import jinja2
from markupsafe import Markup

from stablefit.study.drawing import DARK, LIGHT, MARKS, Drawing


@dataclasses.dataclass(frozen=True)
class Heading:
    form: ClassVar[str] = "heading"
    level: int
    text: str


@dataclasses.dataclass(frozen=True)
class Paragraph:
    """`headline` is what the study found; `lead` stands beside it."""

    form: ClassVar[str] = "paragraph"
    text: str
    kind: Literal["text", "note", "warning", "headline", "lead", "question"] = "text"


@dataclasses.dataclass(frozen=True)
class Code:
    """Lines that stay as they are, or with `folds` text to copy, which may be folded at the edge of the page."""

    form: ClassVar[str] = "code"
    text: str
    folds: bool = False


@dataclasses.dataclass(frozen=True)
class Named:
    """A list of names, each with what is said of it."""

    form: ClassVar[str] = "named"
    items: Sequence[tuple[str, str]]


@dataclasses.dataclass(frozen=True)
class Table:
    """The first column names the row.

    Args:
        title: what it is a table of, for who cannot see where it stands.
        words: columns that hold text; the others hold numbers.
        spare: columns that a narrow screen does without.
        fits: on a narrow screen, without the spare columns.
    """

    form: ClassVar[str] = "table"
    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: Sequence[str] = ()
    spare: Sequence[str] = ()
    fits: bool = False

    @property
    def kinds(self) -> list[str]:
        """The classes of each column."""
        return [("w" if name in self.words else "n") + (" spare" if name in self.spare else "") for name in self.header]


@dataclasses.dataclass(frozen=True)
class Figure:
    form: ClassVar[str] = "figure"
    drawing: Drawing

    @property
    def pictures(self) -> list[Markup]:
        """SVG elements; matplotlib has escaped the texts in them."""
        return [Markup(svg) for svg in self.drawing.inline()]


@dataclasses.dataclass(frozen=True)
class Folded:
    """What is shown when it is asked for; in Markdown a section."""

    form: ClassVar[str] = "folded"
    title: str
    blocks: Sequence["Block"]
    level: int = 3


# Cells of a table that begin with these have a colour, and a mark before it.
_MARKED = (*MARKS, "steadier", "less steady", "fails less often", "fails more often")

Block = Heading | Paragraph | Code | Named | Table | Figure | Folded


def to_markdown(blocks: Sequence[Block]) -> str:
    """The document as GitHub's Markdown; figures are files beside it."""
    return "\n\n".join(_markdown(block) for block in blocks) + "\n"


def to_html(blocks: Sequence[Block]) -> str:
    """The document as a page with its style and its figures in it, and no script."""
    title = next((block.text for block in blocks if isinstance(block, Heading)), "stablefit")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("stablefit.study", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html")
    return page.render(title=title, blocks=blocks, light=LIGHT, dark=DARK, marked=_MARKED) + "\n"


def escape_markdown(text: str) -> str:
    """The text with everything escaped that Markdown, or the HTML that it may hold, would read as a sign."""
    text = html.escape(" ".join(text.split()), quote=False)
    text = re.sub(r"([\\`*\[\]|~$])", r"\\\1", text)
    text = re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", text)
    return re.sub(r"(https?:|www\.)(?=\S)", r"\1&#8203;", text)  # no link of what a name happens to be


def _markdown(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"{'#' * level} {escape_markdown(text)}"
        case Paragraph(text, kind):
            # What would begin a heading or a list at the start of a line.
            text = re.sub(r"^(\d*)(?=[#+\-=]|[.)]\s)", r"\1\\", escape_markdown(text))
            return {"warning": f"> **{text}**", "headline": f"**{text}**"}.get(kind, text)
        case Code(text):
            return "\n".join(f"    {line}" for line in text.split("\n"))
        case Named(items):
            return "\n".join(f"- **{escape_markdown(name)}**: {escape_markdown(said)}" for name, said in items)
        case Table(_, header, rows, words):
            aligned = ["---" if i == 0 or name in words else "---:" for i, name in enumerate(header)]
            lines = [header, *rows]
            cells = ["| " + " | ".join(escape_markdown(cell) for cell in line) + " |" for line in lines]
            return "\n".join([cells[0], "| " + " | ".join(aligned) + " |", *cells[1:]])
        case Figure(drawing):
            said, caption = escape_markdown(drawing.said), escape_markdown(drawing.caption)
            return f"![{said}]({drawing.name}.svg)\n\n{caption}"
        case Folded(title, blocks, level):
            return "\n\n".join([f"{'#' * level} {escape_markdown(title)}", *map(_markdown, blocks)])
