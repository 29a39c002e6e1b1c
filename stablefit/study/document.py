"""A document as a list of blocks, and its two forms: Markdown, and one HTML page that needs nothing else.

Every text in a block is plain. It is escaped here, once, where it is written.
"""

import dataclasses
import html
import re
from collections.abc import Sequence
from typing import Literal

from stablefit.study.figures import Drawing


@dataclasses.dataclass(frozen=True)
class Heading:
    level: int
    text: str


@dataclasses.dataclass(frozen=True)
class Paragraph:
    text: str
    kind: Literal["text", "note", "warning"] = "text"


@dataclasses.dataclass(frozen=True)
class Code:
    """Lines that stay as they are."""

    text: str


@dataclasses.dataclass(frozen=True)
class Named:
    """A list of names, each with what is said of it."""

    items: Sequence[tuple[str, str]]


@dataclasses.dataclass(frozen=True)
class Table:
    """The first column names the row; columns in `words` hold text, the others numbers."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class Figure:
    drawing: Drawing


Block = Heading | Paragraph | Code | Named | Table | Figure


def to_markdown(blocks: Sequence[Block]) -> str:
    """The document as GitHub's Markdown; figures are files beside it."""
    return "\n\n".join(_markdown(block) for block in blocks) + "\n"


def to_html(blocks: Sequence[Block]) -> str:
    """The document as a page with its style and its figures in it, and no script."""
    title = next((block.text for block in blocks if isinstance(block, Heading)), "stablefit")
    body = "\n".join(_html(block) for block in blocks)
    return _PAGE.format(title=html.escape(title), style=_STYLE, body=body)


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
            return f"> **{text}**" if kind == "warning" else text
        case Code(text):
            return "\n".join(f"    {line}" for line in text.split("\n"))
        case Named(items):
            return "\n".join(f"- **{escape_markdown(name)}**: {escape_markdown(said)}" for name, said in items)
        case Table(header, rows, words):
            aligned = ["---" if i == 0 or name in words else "---:" for i, name in enumerate(header)]
            lines = [header, *rows]
            cells = ["| " + " | ".join(escape_markdown(cell) for cell in line) + " |" for line in lines]
            return "\n".join([cells[0], "| " + " | ".join(aligned) + " |", *cells[1:]])
        case Figure(drawing):
            return f"![{drawing.name}]({drawing.name}.svg)\n\n{escape_markdown(drawing.caption)}"


def _html(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"<h{level}>{html.escape(text)}</h{level}>"
        case Paragraph(text, kind):
            return f'<p class="{kind}">{html.escape(text)}</p>'
        case Code(text):
            return f"<pre>{html.escape(text)}</pre>"
        case Named(items):
            parts = (f"<li><strong>{html.escape(name)}</strong>: {html.escape(said)}</li>" for name, said in items)
            return f"<ul>{''.join(parts)}</ul>"
        case Table(header, rows, words):
            kinds = [f' class="{"w" if name in words else "n"}"' for name in header]
            head = "".join(
                f'<th scope="col"{kind if i else ""}>{html.escape(name)}</th>'
                for i, (name, kind) in enumerate(zip(header, kinds, strict=True))
            )
            lines = "\n".join(_html_row(row, kinds) for row in rows)
            narrow = ' class="narrow"' if len(header) < 3 else ""
            # The box can be reached by keyboard: it scrolls where the table is wider than the page.
            return (
                f'<div class="wide" tabindex="0"><table{narrow}><thead><tr>{head}</tr></thead>\n'
                f"<tbody>{lines}</tbody></table></div>"
            )
        case Figure(drawing):
            caption = html.escape(drawing.caption)
            return f'<figure role="group">{drawing.inline()}<figcaption>{caption}</figcaption></figure>'


def _html_row(row: Sequence[str], kinds: Sequence[str]) -> str:
    first, *rest = row
    cells = "".join(f"<td{kind}>{html.escape(cell)}</td>" for cell, kind in zip(rest, kinds[1:], strict=True))
    return f'<tr><th scope="row">{html.escape(first)}</th>{cells}</tr>'


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""

_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: #1b1b1b; overflow-wrap: anywhere;
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, "DejaVu Sans", sans-serif; }
main { max-width: 66rem; margin: 0 auto; padding: 1.25rem 1rem 4rem; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .5rem 0 1rem; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem; padding-top: .6rem; border-top: 1px solid #d9d9d9; }
h3 { font-size: 1rem; margin: 1.6rem 0 .4rem; }
p, li { max-width: 44rem; }
ul { padding-left: 1.1rem; }
li { margin: .35rem 0; }
.warning { border-left: 4px solid #d55e00; background: #fdf1e9; padding: .5rem .8rem; }
pre { overflow-x: auto; background: #f5f5f5; padding: .6rem .8rem; font-size: .85rem; overflow-wrap: normal; }
.wide { overflow-x: auto; margin: .8rem 0; }
table { border-collapse: separate; border-spacing: 0; font-size: .85rem; line-height: 1.35; overflow-wrap: normal; }
th, td { padding: .35rem .6rem; text-align: left; vertical-align: top; border-bottom: 1px solid #e3e3e3; }
thead th { border-bottom: 2px solid #1b1b1b; vertical-align: bottom; }
tbody th { font-weight: 600; position: sticky; left: 0; background: #fff; min-width: 7.5rem; max-width: 16rem;
  overflow-wrap: anywhere; }
.narrow tbody th { max-width: none; overflow-wrap: normal; }
.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.w { min-width: 8rem; }
thead .n { white-space: normal; min-width: 3.2rem; }
figure { margin: 1.2rem 0; max-width: 40rem; break-inside: avoid; }
figure svg { width: 100%; height: auto; display: block; }
figcaption, .note { font-size: .85rem; color: #444; }
figcaption { margin-top: .3rem; }
@media (max-width: 40rem) { :not(.narrow) > tbody th { max-width: 9rem; } th, td { padding: .3rem .45rem; } }
@media print {
  @page { margin: 14mm; }
  body { font-size: 10pt; }
  main { max-width: none; padding: 0; }
  h2, h3 { break-after: avoid; }
  tr { break-inside: avoid; }
  .wide { overflow: visible; }
  table { font-size: 7.5pt; }
  th, td { padding: 1.5pt 3pt; }
  .w, thead .n { min-width: 0; }
  tbody th { position: static; min-width: 0; }
  pre { white-space: pre-wrap; }
  figure { max-width: 13.5cm; }
}
"""
