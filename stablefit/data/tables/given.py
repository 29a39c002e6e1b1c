"""What a program hands over as X and y -> texts, classes, numbers, several labels, entities; pandas is not imported."""

import math
import unicodedata
from collections.abc import Hashable, Mapping, Sequence, Set
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from stablefit.data.tables.rows import shown
from stablefit.errors import InputError

_LARGEST = 1e38  # labels are float32


class Texts(NamedTuple):
    """N texts, and N second texts if they are pairs."""

    first: list[str]
    second: list[str] | None

    def __len__(self) -> int:
        return len(self.first)


class Classes(NamedTuple):
    """The labels of N texts.

    Args:
        values: the classes as they were given, in their order.
        names: how each is written.
        indices: [N], which class each text has; or [N, C] zeros and ones, of several labels a text.
    """

    values: np.ndarray
    names: tuple[str, ...]
    indices: np.ndarray

    @property
    def several(self) -> bool:
        return self.indices.ndim == 2


def texts(given: Any, *, training: bool = False) -> Texts:
    """Texts, or pairs: a sequence of strings or of twos of strings, or one or two columns of an array or a frame.

    Args:
        given: what was handed over as X.
        training: whether a text must have something in it.

    Raises:
        InputError: it is none of these; the message names the place.
    """
    if isinstance(given, (str, bytes, Mapping, Set)):
        raise InputError(f"X is a {type(given).__name__}; give a list of texts, or of pairs of texts")
    values = _listed(given, "X")
    rows: list[Any] = [(value,) if isinstance(value, str) else value for value in values]
    width = 0
    for i, row in enumerate(rows):
        if not isinstance(row, (list, tuple)):
            raise InputError(f"X[{i}] is of type {type(row).__name__}; expected a text, or a pair of texts")
        width = width or len(row)
        if len(row) != width or width not in (1, 2):
            right = {1: "one text", 2: "a pair of texts"}.get(width, "one text, or a pair") + (
                " as in X[0]" if i else ""
            )
            raise InputError(f"X[{i}] has {len(row)} texts; expected {right}")
        for text in row:
            if (fault := _text_fault(text, training)) is not None:
                raise InputError(f"X[{i}] {fault}")
    first = [row[0] for row in rows]
    return Texts(first, [row[1] for row in rows] if width == 2 else None)


def _text_fault(text: Any, training: bool) -> str | None:
    if not isinstance(text, str):
        return f"holds {shown(text)} of type {type(text).__name__}; expected a string"
    if training and not text.strip():
        return "is an empty text; leave the row out, or write what it says"
    if "\0" in text:
        return "holds a NUL character; remove it"
    if not text.isascii() and any(0xD800 <= ord(letter) <= 0xDFFF for letter in text):
        return "holds half of a character (a lone surrogate); write it whole"
    return None


def _listed(given: Any, name: str) -> list[Any]:
    """A list of the rows; those of an array or a frame of two dimensions are lists."""
    if hasattr(given, "toarray"):  # SciPy's sparse matrices
        given = given.toarray()
    if isinstance(given, np.ndarray) or hasattr(given, "to_numpy"):
        given = np.asarray(given) if isinstance(given, np.ndarray) else given.to_numpy()
        if given.ndim not in (1, 2):
            raise InputError(f"{name} is an array of {given.ndim} dimensions; expected one or two")
        return given.tolist()
    try:
        return list(given)
    except TypeError:
        raise InputError(f"{name} is of type {type(given).__name__}; expected a sequence") from None


def check_lengths(n_texts: int, n_labels: int) -> None:
    """Raises an InputError unless there are texts, and as many labels."""
    if n_texts != n_labels:
        raise InputError(f"X has {n_texts} texts and y has {n_labels} labels; give as many of both")
    if not n_texts:
        raise InputError("X is empty; give labelled texts to learn from")


def classes(given: Any) -> Classes:
    """The classes of texts, one a text or several.

    Several are a list of sets, tuples or lists of labels, or an array of zeros and ones with a column a label.

    Args:
        given: what was handed over as y.

    Raises:
        InputError: a value is no label, or there are fewer than two classes.
    """
    values = _labels(given)
    if _are_marks(given, values):
        return _of_marks(given, values)
    collections = [isinstance(value, (set, frozenset, list, tuple)) for value in values]
    if any(collections):
        if not all(collections):
            raise InputError(
                f"y[{collections.index(False)}] is one label where others are several; give a set for each"
            )
        return _of_sets(values)
    for i, value in enumerate(values):
        if (fault := _label_fault(value)) is not None:
            raise InputError(f"y[{i}] {fault}")
    there = _in_order(set(values))
    place = {value: index for index, value in enumerate(there)}
    dtype = given.dtype if isinstance(given, np.ndarray) and given.dtype.kind in "biuf" else None
    found = _classes(there, np.array([place[value] for value in values], np.int64))
    return found if dtype is None else found._replace(values=found.values.astype(dtype))


def _labels(given: Any) -> list[Any]:
    """y as a list; a single column is a list of its values."""
    if isinstance(given, (str, bytes, Mapping, Set)):
        raise InputError(f"y is a {type(given).__name__}; give a list of as many labels as texts")
    values = _listed(given, "y")
    if getattr(given, "ndim", 1) == 2 and given.shape[1] == 1:
        return [row[0] for row in values]
    return values


def _are_marks(given: Any, values: Sequence[Any]) -> bool:
    """Whether y has two dimensions; a list of lists of zeros and ones may mean either."""
    if getattr(given, "ndim", 1) == 2:
        return given.shape[1] > 1
    lists = bool(values) and all(isinstance(value, (list, tuple)) and len(value) > 1 for value in values)
    if lists and all(isinstance(one, int) and one in (0, 1) for value in values for one in value):
        raise InputError("y is a list of lists of 0 and 1; give numpy.array(y) for marks, or sets for labels 0 and 1")
    return False


def _of_marks(given: Any, values: Sequence[Sequence[Any]]) -> Classes:
    columns = list(getattr(given, "columns", range(len(values[0]) if values else 0)))
    for i, row in enumerate(values):
        if any(mark not in (0, 1) for mark in row):
            raise InputError(f"y[{i}] is {shown(row)}; expected 0 or 1 in each column")
    return _classes(columns, np.array(values, np.int64).reshape(-1, len(columns)))


def _of_sets(values: Sequence[Any]) -> Classes:
    for i, value in enumerate(values):
        for one in value:
            if (fault := _label_fault(one)) is not None:
                raise InputError(f"y[{i}] {fault}")
    there = _in_order({one for value in values for one in value})
    return _classes(there, marks(values, there))


def marks(values: Sequence[Any], there: Sequence[Any]) -> np.ndarray:
    """int64 [N, C], 1 where a collection of labels has one.

    Raises:
        InputError: a label is not there.
    """
    place = {value: index for index, value in enumerate(there)}
    out = np.zeros((len(values), len(there)), np.int64)
    for i, value in enumerate(values):
        for one in value:
            if one not in place:
                raise InputError(f"y[{i}] has the label {shown(one)}, which the training data has not")
            out[i, place[one]] = 1
    return out


def _label_fault(value: Any) -> str | None:
    if _is_missing(value):
        return f"is {value}; give every text a label"
    if not isinstance(value, Hashable):
        return f"is of type {type(value).__name__}; expected a label, such as a string"
    if isinstance(value, float) and not value.is_integer():
        return f"is {value:g}, which is no class; TextRegressor learns numbers"
    return None


def _is_missing(value: Any) -> bool:
    try:
        return value is None or bool(value != value)
    except (TypeError, ValueError):  # pandas' NA says neither, nor does an array
        return str(value) == "<NA>"


def _in_order(values: set[Any]) -> list[Any]:
    try:
        return sorted(values)
    except TypeError:  # of several types
        return sorted(values, key=lambda value: (type(value).__name__, str(value)))


def _classes(there: list[Any], indices: np.ndarray) -> Classes:
    if len(there) < 2:
        found = f"only {shown(there[0])}" if there else "none"
        raise InputError(f"y has fewer than two classes ({found}); there is nothing to tell apart")
    names = [str(value) for value in there]
    for name in names:
        if not name.strip() or any(unicodedata.category(letter) == "Cc" for letter in name):
            raise InputError(f"y has the label {shown(name)}, which does not print; expected a name")
        if names.count(name) > 1:
            raise InputError(f"y has several labels that are written {shown(name)}; give labels of one type")
    return Classes(as_array(there), tuple(names), indices)


def as_array(values: Sequence[Any]) -> np.ndarray:
    """Labels as an array of one dimension, each the value that it was."""
    if len({type(value) for value in values}) == 1 and isinstance(values[0], (str, bool, int, float)):
        return np.array(values)
    out = np.empty(len(values), object)
    out[:] = values
    return out


def numbers(given: Any) -> list[float]:
    """The numbers of texts.

    Raises:
        InputError: a value is none.
    """
    found = []
    for i, value in enumerate(_labels(given)):
        number = float(value) if isinstance(value, (Real, np.number)) else math.nan
        if not abs(number) <= _LARGEST:
            raise InputError(f"y[{i}] is {shown(value)}; expected a finite number")
        found.append(number)
    return found


def entities(given: Any) -> list[list[dict[str, Any]]]:
    """The entities of texts, as JSON takes them; whether they fit the texts is not checked.

    Args:
        given: for each text a list of mappings with `start`, `end` and `label`, and perhaps `text`.

    Raises:
        InputError: a value is none of these.
    """
    found = []
    for i, value in enumerate(_labels(given)):
        if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Sequence):
            raise InputError(f"y[{i}] is of type {type(value).__name__}; expected a list of entities")
        found.append([_entity(f"y[{i}][{j}]", one) for j, one in enumerate(value)])
    return found


def _entity(where: str, given: Any) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        right = '{"start": 0, "end": 5, "label": "PER"}'
        raise InputError(f"{where} is of type {type(given).__name__}; expected a mapping such as {right}")
    found = {}
    for name, kind in (("start", int), ("end", int), ("label", str), ("text", str)):
        if name == "text" and name not in given:
            continue
        value = given.get(name)
        value = value.item() if isinstance(value, np.generic) else value
        if not isinstance(value, kind) or isinstance(value, bool):
            raise InputError(f"{where} has {name}={shown(value)}; expected {kind.__name__}")
        found[name] = value
    return found
