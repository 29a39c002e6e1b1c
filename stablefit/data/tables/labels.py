"""What the labels of a column are: classes, a number, or several labels a row; inferred, and said."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from stablefit.data.tables.names import is_number, number
from stablefit.data.tables.rows import Cell, counted, shown
from stablefit.data.tasks import Kind

SEPARATORS = (";", "|", ",")

_MOST_INTEGER_CLASSES = 10
_LARGEST = 1e38  # labels are float32
_MOSTLY = 0.9  # a share of numbers that makes the other values faults rather than classes
_SHARED = 0.5  # of the labels in combinations, so many stand elsewhere too
_LONGEST_PIECE = 40  # characters of one of several labels
_TRUE = {"1", "1.0", "true", "yes"}
_FALSE = {"0", "0.0", "false", "no"}


class Plan(NamedTuple):
    """How cells become labels.

    Args:
        kind: what they are.
        separator: what stands between several labels; "" for lists, and columns of zeros and ones.
        decimal_comma: whether a comma is the decimal point.
        said: a sentence on it.
    """

    kind: Kind
    separator: str
    decimal_comma: bool
    said: str


def infer(values: Sequence[Cell], kind: str, separator: str, asked: str = "as asked") -> Plan:
    """What the cells of one column are.

    Args:
        values: cells, labels yet unchecked; empty ones are disregarded.
        kind: auto, or what they are to be read as.
        separator: "" if it is to be found.
        asked: what is said of a kind that is given.

    Raises:
        ValueError: they cannot be read as asked; the text says why, and what would be right.
    """
    texts = [cell.strip() for cell in values if isinstance(cell, str) and cell.strip()]
    lists = any(isinstance(cell, tuple) for cell in values)
    if separator and kind not in ("auto", "multilabel"):
        raise ValueError(f"--separator is for several labels a row, but --kind={kind}; leave one out")
    if kind == "multilabel" or separator or (lists and kind == "auto"):
        return _several(values, separator)
    if kind == "regression":
        return _numbers(texts, asked)
    if kind == "classification":
        return Plan("classification", "", False, f"{_classes(texts)} ({asked})")
    if (found := find_separator(texts)) is not None:
        return _several(values, found)
    comma = uses_decimal_comma(texts)
    parsed = [value for value in texts if is_number(value.replace(",", ".") if comma else value)]
    distinct = {float(value.replace(",", ".")) for value in parsed}
    whole = all(value.is_integer() for value in distinct)
    if texts and len(parsed) >= _MOSTLY * len(texts) and (len(distinct) > _MOST_INTEGER_CLASSES or not whole):
        return _numbers(texts, "for classes say --kind=classification" if whole else "")
    advice = " (for a number say --kind=regression)" if len(parsed) == len(texts) and len(distinct) > 2 else ""
    return Plan("classification", "", False, _classes(texts) + advice)


def _several(values: Sequence[Cell], separator: str) -> Plan:
    texts = [cell for cell in values if isinstance(cell, str)]
    lists = len(texts) < len(values)
    separator = separator or ("" if lists else find_separator([text.strip() for text in texts]) or "")
    if not separator and not lists:
        raise ValueError(
            "no separator of several labels is found in it; give --separator, or several columns of 0 and 1 as --label"
        )
    if separator and not lists and not any(separator in text for text in texts):
        raise ValueError(f"separator {shown(separator)} is in none of the labels; give the one that is")
    names = {name for cell in values for name in several(cell, separator)}
    between = f"with {shown(separator)} between" if separator else "as lists"
    said = f"several labels a row, {between}"
    return Plan("multilabel", separator, False, said + (f": {listed(sorted(names))}" if names else ""))


def _numbers(texts: list[str], note: str) -> Plan:
    comma = uses_decimal_comma(texts)
    parsed = [value.replace(",", ".") if comma else value for value in texts]
    found = [number(value) for value in parsed if is_number(value)]
    if not found:
        first = shown(texts[0]) if texts else "an empty cell"
        right = "; write a decimal point, and nothing between thousands" if "," in first else ""
        raise ValueError(f"none of its values is a number, such as {first}{right}")
    said = f"a number, from {min(found):g} to {max(found):g}"
    if comma:
        said += ", with decimal commas"
    return Plan("regression", "", comma, said + (f" ({note})" if note else ""))


def _classes(texts: list[str]) -> str:
    names = class_names(texts)
    return f"{counted(len(names), 'class', 'classes')}: {listed(names)}"


def listed(names: Sequence[str], most: int = 8) -> str:
    """The first names, and how many others there are."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def class_names(values: Sequence[str]) -> tuple[str, ...]:
    """Distinct names in their order; numbers by size.

    >>> class_names(["10", "9", "9"]), class_names(["b", "a", "10"])
    (('9', '10'), ('10', 'a', 'b'))
    """
    names = set(values)
    if all(is_number(name) for name in names):
        return tuple(sorted(names, key=lambda name: (number(name), name)))
    return tuple(sorted(names))


def uses_decimal_comma(texts: Sequence[str]) -> bool:
    """Whether all values are numbers once a comma is taken for the point, and none has a point."""
    with_comma = [text for text in texts if "," in text]
    return (
        bool(with_comma)
        and not any("." in text for text in texts)
        and all(is_number(text.replace(",", ".")) for text in texts)
        # 1,234 may be a thousand and more: only other numbers of digits behind the comma tell.
        and any(len(text.rsplit(",")[-1]) != 3 for text in with_comma)
    )


def parse_number(text: str, comma: bool) -> float:
    """A label that is a number.

    Raises:
        ValueError: it is none; the text says what would be right.
    """
    try:
        found = number(text.replace(",", ".") if comma else text)
    except ValueError:
        right = ", as in 0.5, and nothing between thousands" if "," in text or "_" in text else ""
        raise ValueError(f"label {shown(text)} is not a number; expected one{right}") from None
    if abs(found) > _LARGEST:
        raise ValueError(f"label {shown(text)} is too large; expected a number up to {_LARGEST:g}")
    return found


def find_separator(texts: Sequence[str]) -> str | None:
    """The separator of several labels: its pieces are short and fewer than the cells' values, and come in several."""
    values = Counter(texts)
    for separator in SEPARATORS:
        combined = [value for value in values if separator in value]
        if sum(values[value] for value in combined) < 2 or all(is_number(value.replace(",", ".")) for value in values):
            continue
        found: Counter[str] = Counter()
        for value in values:
            found.update(set(pieces(value, separator)))
        # A piece of a combination also stands elsewhere: "Travel, Leisure" is one label if neither does.
        inside = {piece for value in combined for piece in pieces(value, separator)}
        shared = sum(found[piece] > 1 for piece in inside)
        short = all(len(piece) <= _LONGEST_PIECE for piece in found)
        if short and len(found) < len(values) and shared >= _SHARED * len(inside):
            return separator
    return None


def pieces(text: str, separator: str) -> tuple[str, ...]:
    """The labels of a cell, each once.

    >>> pieces("red; blue;", ";")
    ('red', 'blue')
    """
    parts = (part.strip() for part in text.split(separator)) if separator else (text.strip(),)
    return tuple(dict.fromkeys(part for part in parts if part))


def several(cell: Cell, separator: str) -> tuple[str, ...]:
    """The labels of a cell that may be a list, each once."""
    if isinstance(cell, str):
        return pieces(cell, separator)
    return tuple(dict.fromkeys(piece.strip() for piece in cell if piece.strip()))


def parse_switch(column: str, text: str) -> float:
    """A cell of a column of zeros and ones.

    Raises:
        ValueError: it is neither.
    """
    value = text.strip().casefold()
    if value not in _TRUE | _FALSE:
        raise ValueError(f"{shown(text)} in column {column}; expected 0 or 1")
    return float(value in _TRUE)


def many_hot(rows: Sequence[Sequence[str]], names: Sequence[str]) -> np.ndarray:
    """float32 [N, L], 1 where a row has a label."""
    place = {name: index for index, name in enumerate(names)}
    out = np.zeros((len(rows), len(names)), np.float32)
    for i, row in enumerate(rows):
        out[i, [place[name] for name in row]] = 1
    return out
