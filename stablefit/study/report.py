"""The report of a study: what it found in a sentence, a plot and a table; what to paste; and, folded, all the rest."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from stablefit.errors import InputError
from stablefit.study import (
    document,
    figures,
    findings,
    folded,
    forest,
    looks,
    origins,
    overview,
    packed,
    paste,
    provenance,
    readable,
    reading,
)
from stablefit.study.document import Block, Code, Figure, Folded, Heading, Named, Paragraph
from stablefit.study.drawing import Drawing
from stablefit.study.findings import Group
from stablefit.study.reading import Study

TABLE, LATEX = "verdicts.csv", "verdicts.tex"


def write(workdir: Path, out: Path, worse_than: float | None = None) -> list[Path]:
    """Writes report.html and report.md, the figures, and where settings are compared verdicts.csv and verdicts.tex.

    Args:
        workdir: of a study or of a single run. Only read, but for the look at it, which a working directory records.
        out: where to; made if it is not there, files of an earlier report are replaced.
        worse_than: the score for the probability that a single run is worse; None: that of the baseline's median run.

    Returns:
        The files.

    Raises:
        InputError: no study, a damaged file, matplotlib is missing, or `out` cannot be written.
    """
    study = reading.load(workdir)
    groups = findings.analyse(study)
    drawings = {group.task.name: figures.draw_all(group) for group in groups}
    blocks = build(study, groups, drawings, worse_than)
    files: dict[str, str | bytes] = {
        "report.md": document.to_markdown(blocks),
        "report.html": document.to_html(blocks),
    }
    if any(forest.ordered(group) for group in groups):
        files |= {TABLE: paste.table(groups, worse_than), LATEX: paste.latex(groups)}
    for drawing in (drawing for several in drawings.values() for drawing in several):
        files |= drawing.files
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            data = content if isinstance(content, bytes) else content.encode("utf-8", "replace")
            temporary = out / f".{name}.tmp"
            temporary.write_bytes(data)
            os.replace(temporary, out / name)
    except OSError as error:
        raise InputError(f"cannot write the report to {out}: {error.strerror}; give another --out") from None
    if not packed.is_packed(workdir):  # what is handed on stays as it is
        looks.record(workdir, {cell.name: len(cell.rows) for cell in study.cells})
    return [out / name for name in files]


def build(
    study: Study,
    groups: Sequence[Group],
    drawings: Mapping[str, Sequence[Drawing]],
    worse_than: float | None = None,
) -> list[Block]:
    """The report as blocks."""
    title = reading.printable(study.workdir.resolve().name)
    blocks: list[Block] = [Heading(1, f"Study: {title}" if len(study.cells) > 1 else f"Run: {title}")]
    question = provenance.question(study)
    blocks += [Paragraph(question, "question")] if question else []
    warning = _unfinished(study)
    if across := overview.across(groups):
        blocks += [*across, *warning]
        warning = []
    rest: list[Block] = []
    for group in groups:
        pictures = {one.name.removeprefix(f"{group.task.name}-"): Figure(one) for one in drawings[group.task.name]}
        several = len(groups) > 1
        blocks += [Heading(2, readable.data_set(group.task))] if several else []
        headline, *part = _group(group, pictures, worse_than, 3 if several else 2)
        blocks += [headline, *warning, *part]
        warning = []
        rest += folded.sections(group, pictures, f"{readable.data_set(group.task)}: " if several else "")
    return [*blocks, *_to_paste(groups), Heading(2, "All the rest"), *rest, *provenance.sections(study, groups)]


def _unfinished(study: Study) -> list[Block]:
    gaps = [f"{cell.name} ({len(cell.missing)} of {len(cell.config['seeds'])})" for cell in study.cells if cell.missing]
    if not gaps:
        return []
    return [
        Paragraph(
            f"Not finished: seeds are missing in {', '.join(gaps)}. What follows is of the finished runs. To look "
            "early, and to stop when the answer pleases, makes false alarms: p-values hold for a study that is carried "
            "out as planned.",
            "warning",
        )
    ]


def _group(group: Group, pictures: Mapping[str, Figure], worse_than: float | None, level: int) -> list[Block]:
    """What is shown at once of a data set."""
    blocks = overview.opening(group, origins.designed(group))
    blocks += [pictures[kind] for kind in ("differences", "scores") if kind in pictures]
    if group.finished or len(group.settings) > 1:
        blocks.append(overview.verdict_table(group))
    if selections := folded.selections(group):
        blocks += [Heading(level, "The best of many started seeds"), *selections]
    if stability := overview.stability(group, worse_than):
        blocks += [Heading(level, "Stability"), *stability]
    blocks += origins.sections(group, level)
    if "loss" in pictures:
        blocks += [Heading(level, "Training loss"), pictures["loss"]]
    return [*blocks, Folded("Every verdict in words", [Named(folded.sentences(group))], level + 1)]


def _to_paste(groups: Sequence[Group]) -> list[Block]:
    compared = [group for group in groups if forest.ordered(group)]
    if not compared:
        return []
    blocks: list[Block] = [Heading(2, "Ready to paste")]
    blocks += [Code(paste.paragraph(group), folds=True) for group in compared]
    tables = Code("\n\n".join(paste.latex_table(group) for group in compared))
    note = f"Beside this page: {LATEX} holds both in LaTeX, {TABLE} every number, and the plot is there as PDF and PNG."
    return [*blocks, Folded("The table in LaTeX (booktabs)", [tables]), Paragraph(note, "note")]
