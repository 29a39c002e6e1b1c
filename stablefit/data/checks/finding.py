"""What a check of a file can find: codes, titles, and how a finding is told."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from stablefit.data.tables.rows import shown
from stablefit.errors import InputError

MOST_ROWS = 10  # line numbers kept of a finding

# docs/findings.md has a section for each.
TITLES = {
    "SF101": "texts that stand in the file more than once",
    "SF102": "the same text with different labels",
    "SF103": "the same text in two files",
    "SF104": "the same text in two groups",
    "SF105": "texts of one word or without any",
    "SF106": "texts that are cut",
    "SF107": "texts that the tokenizer does not know",
    "SF108": "texts that name their label",
    "SF201": "one label only",
    "SF202": "labels with fewer examples than folds",
    "SF203": "labels that differ in writing only",
    "SF204": "labels that stand once",
    "SF205": "one class far larger than the others",
    "SF206": "numbers read as classes",
    "SF207": "whole numbers that may be classes",
    "SF208": "labels that may mean that there is none",
    "SF209": "rows without any label",
    "SF301": "few rows",
    "SF302": "rows left out",
    "SF401": "entities that cut words",
    "SF402": "entities with an edge within a piece",
    "SF403": "offsets that count UTF-16 units",
    "SF404": "many texts without entities",
    "SF405": "what is an entity here and none there",
    "SF406": "the same entity with different types",
    "SF407": "texts that are read in windows",
    "SF408": "tags in another scheme than IOB2",
}


class Finding(NamedTuple):
    """Something that a good colleague would say about a file.

    Args:
        code: what docs/findings.md and --mute call it.
        title: what it is.
        serious: whether scores would mislead, or training cannot work.
        what: a sentence with the numbers.
        rows: lines of the first rows that it is about.
        do: what to do about it.
    """

    code: str
    title: str
    serious: bool
    what: str
    rows: tuple[int, ...]
    do: str


def finding(code: str, what: str, do: str, rows: Iterable[int] = (), *, serious: bool = False) -> Finding:
    return Finding(code, TITLES[code], serious, what, tuple(rows)[:MOST_ROWS], do)


def check_codes(codes: Sequence[str]) -> None:
    """Raises an InputError if a code to mute is none."""
    for code in codes:
        if code not in TITLES:
            raise InputError(f"--mute: code {shown(code)} is not known; there are {', '.join(TITLES)}")


def lines(rows: Sequence[int], most: int = 3) -> str:
    """Line numbers in words.

    >>> lines([4]), lines([4, 9]), lines([4, 9, 12, 30])
    ('line 4', 'lines 4 and 9', 'lines 4, 9, 12 and 1 more')
    """
    first = [str(row) for row in rows[:most]]
    if len(rows) > most:
        return f"lines {', '.join(first)} and {len(rows) - most:,} more"
    if len(first) == 1:
        return f"line {first[0]}"
    return f"lines {', '.join(first[:-1])} and {first[-1]}"
