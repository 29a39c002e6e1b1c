"""Files of one word a line: their sentences, and which column holds what.

CoNLL's files have the word first and the entity's tag last; between them may be parts of speech and chunks, which are
tags too. GermEval's have the number of the word first, and two columns of entities.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple, get_args

from stablefit.data.tags.tagging import Scheme, first_fault
from stablefit.errors import InputError

_SPACES = re.compile(" +")
BLANK = " \t\r"  # not all of Unicode's: an ideographic space may be a word of a Chinese file
_TAG = re.compile(r"[BIESLUM]-\S.*")
# Chunks of syntax, as CoNLL-2000 and -2003 name them: tags, but of no entities.
_CHUNKS = {"ADJP", "ADVP", "CONJP", "INTJ", "LST", "NP", "PP", "PRT", "SBAR", "UCP", "VP"}
_MOSTLY = 0.9  # share of a column's values that are tags, where a few are faulty
_OTHERS = {"L": "E", "U": "S", "M": "I"}  # prefixes of BILOU and BMES, and what IOBES has for them


class Sentence(NamedTuple):
    """The lines of a sentence as columns.

    Args:
        line: its first line, counted from 1.
        document: the number of its document; -DOCSTART- begins one.
        rows: of each line the columns.
    """

    line: int
    document: int
    rows: list[list[str]]


class Layout(NamedTuple):
    """Which columns of a file hold what, counted from 0.

    Args:
        word, tag: the columns that are read.
        width: how many there are.
        others: further columns that hold tags.
    """

    word: int
    tag: int
    width: int
    others: tuple[int, ...]


def sentences(text: str, comments: bool = False) -> Iterator[Sentence]:
    """The sentences of a file, which blank lines part.

    Args:
        comments: whether lines that begin with # and a space or a tab are none of a sentence.
    """
    rows: list[list[str]] = []
    number = document = 0
    for number, line in enumerate(text.split("\n"), start=1):
        if comments and line.startswith(("# ", "#\t")):
            continue
        columns = line.split("\t") if "\t" in line else _SPACES.split(line.strip(BLANK))
        columns[-1] = columns[-1].strip(BLANK)
        begins = columns[0] == "-DOCSTART-"
        if line.strip(BLANK) and not begins:
            rows.append(columns)
        elif rows:
            yield Sentence(number - len(rows), document, rows)
            rows = []
        document += begins
    if rows:
        yield Sentence(number + 1 - len(rows), document, rows)


def tag_columns(found: Sequence[Sentence]) -> tuple[int, ...]:
    """The columns whose values are tags of something, O among them and not alone; counted from 0."""
    rows = [row for sentence in found for row in sentence.rows]
    if not rows:
        return ()
    width = max(set(lengths := [len(row) for row in rows]), key=lengths.count)
    rows = [row for row in rows if len(row) == width]
    columns = []
    for column in range(1, width):
        values = [row[column] for row in rows]
        tagged = [value for value in values if _TAG.fullmatch(value)]
        if tagged and len(tagged) + values.count("O") >= _MOSTLY * len(values):
            columns.append(column)
    return tuple(columns)


def layout(path: str, found: Sequence[Sentence], word: int | None = None, tag: int | None = None) -> Layout:
    """Which columns are read: the first one, and the only one of entities.

    Args:
        path: for messages.
        found: sentences of the file.
        word, tag: columns counted from 0, where they are given.

    Raises:
        InputError: there is no column of tags, or there are several and none is given.
    """
    width = len(found[0].rows[0])
    for name, column in (("--text", word), ("--label", tag)):
        if column is not None and not 0 <= column < width:
            raise InputError(f"{path}: {name}={column + 1}: the file has {width} columns; give a number from 1")
    columns = tuple(column for column in tag_columns(found) if column < width)  # most lines may be wider than the first
    entities = [column for column in columns if not _types(found, column) <= _CHUNKS]
    if tag is None and len(entities) > 1:
        told = " and ".join(f"column {c + 1} ({', '.join(sorted(_types(found, c))[:3])})" for c in entities)
        raise InputError(
            f"{path}: tags of entities stand in {told}; one of them can be read: give its number, such as "
            f"--label={entities[0] + 1}"
        )
    if tag is None and width > 1:
        tag = entities[0] if entities else columns[-1] if columns else width - 1
    word = 0 if word is None else word
    if tag == word:
        raise InputError(f"{path}: column {word + 1} cannot hold both the words and the tags; give --text and --label")
    others = tuple(column for column in columns if column != tag)
    return Layout(word, width - 1 if tag is None else tag, width, others)


def described(there: Layout, setting: str) -> str:
    """Which columns are read, in words.

    Args:
        setting: what sets the column of tags.

    >>> described(Layout(0, 2, 3, ()), "--label")
    'column 1 holds the words, column 3 of 3 their tags; column 2 not read'
    """
    unread = [column + 1 for column in range(there.width) if column not in (there.word, there.tag)]
    said = f"column {there.word + 1} holds the words, column {there.tag + 1} of {there.width} their tags"
    if there.others:
        named = " and ".join(str(column + 1) for column in there.others)
        said += f"; column {named} holds tags too, and {setting}={there.others[0] + 1} reads them"
    if unread:
        columns = "column" if len(unread) == 1 else "columns"
        said += f"; {columns} {', '.join(map(str, unread))} not read"
    return said


def _types(found: Sequence[Sentence], column: int) -> set[str]:
    """What the tags of a column are of."""
    values = {row[column] for sentence in found for row in sentence.rows if len(row) > column}
    return {value[2:] for value in values if _TAG.fullmatch(value)}


def fitting(tags: Sequence[Sequence[str]]) -> Scheme | None:
    """The scheme in which all of these sentences' tags are well-formed: iob2, iobes or iob1, the first that fits.

    >>> fitting([["B-X", "O"]]), fitting([["S-X", "O"]]), fitting([["I-X", "O"]]), fitting([["X"]])
    ('iob2', 'iobes', 'iob1', None)
    """
    for scheme in ("iob2", "iobes", "iob1"):
        assert scheme in get_args(Scheme)
        if all(first_fault(one, scheme) is None for one in tags):
            return scheme
    return None


def renamed(tags: Sequence[Sequence[str]]) -> str:
    """What to write for the prefixes of BILOU or BMES, if the tags fit IOBES with that; "" if they do not."""
    there = sorted({tag[0] for one in tags for tag in one if tag[1:2] == "-" and tag[0] in _OTHERS})
    changed = [[_OTHERS.get(tag[0], tag[0]) + tag[1:] if tag[1:2] == "-" else tag for tag in one] for one in tags]
    if not there or fitting(changed) is None:
        return ""
    return " and ".join(f"{_OTHERS[prefix]}- for {prefix}-" for prefix in there)


def numbered(words: Sequence[Sequence[str]]) -> bool:
    """Whether every word ends with its number, in its sentence or in the file, from 0 or from 1.

    >>> numbered([["a0", "b1", "c2"]]), numbered([["1st", "of", "2"]])
    (True, False)
    """
    if max(map(len, words), default=0) < 3:
        return False
    for first in (0, 1):
        for running in (False, True):
            at = first
            for one in words:
                at = at if running else first
                if not all(len(w) > len(str(at + i)) and w.endswith(str(at + i)) for i, w in enumerate(one)):
                    break
                at += len(one)
            else:
                return True
    return False
