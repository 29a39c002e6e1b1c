"""What is to be said about the labels of a file, and about its size."""

import unicodedata
from collections import defaultdict

import numpy as np

from stablefit.data.checks.finding import Finding, finding, lines
from stablefit.data.checks.text_findings import MISSING
from stablefit.data.tables.labels import listed
from stablefit.data.tables.names import is_number, number
from stablefit.data.tables.own import OwnTexts
from stablefit.data.tables.rows import counted

_LARGE = 0.8  # share of the largest class
_ONCE = 0.5  # share of rows whose label stands once
_FEW = 50  # rows
_CLASSES = 10  # whole numbers up to so many are classes anyway


def counts(own: OwnTexts) -> np.ndarray:
    """int [L], the rows that have each label; of numbers, none."""
    labels = own.examples.labels
    if own.task.kind == "regression":
        return np.zeros(0, np.int64)
    return labels.sum(0).astype(np.int64) if labels.ndim == 2 else np.bincount(labels, minlength=len(own.task.labels))


def single(own: OwnTexts) -> list[Finding]:
    """SF201: one class, one number, or a label that all rows or none have."""
    labels, names = own.examples.labels, own.task.labels
    if labels.ndim == 2:
        always = [name for name, n in zip(names, counts(own), strict=True) if n in (0, len(own))]
        if not always:
            return []
        what = f"All rows have the same of {counted(len(always), 'label')}: {listed(always)}."
        return [finding("SF201", what, "Leave these labels out: there is nothing to learn about them.")]
    if len(np.unique(labels)) > 1:
        return []
    only = names[0] if names else f"{float(labels[0]):g}"
    do = "Look whether this is the column of labels, and whether the file is whole."
    return [finding("SF201", f"All {len(own):,} rows are labelled {only}.", do, serious=True)]


def rare(own: OwnTexts, folds: int) -> list[Finding]:
    """SF202: labels of which some folds get no example."""
    few = [(name, int(n)) for name, n in zip(own.task.labels, counts(own), strict=True) if 0 < n < folds]
    if not few or _once(own):
        return []
    told = listed([f"{name} ({n})" for name, n in few])
    do = "Label more examples of them, merge them with a class that is near, or leave them out."
    what = f"{counted(len(few), 'label')} with fewer than {folds} examples: {told}."
    return [finding("SF202", what, do, _rows_of(own, [name for name, _ in few]))]


def _rows_of(own: OwnTexts, names: list[str]) -> list[int]:
    """The lines of rows that have one of these labels."""
    places = [own.task.labels.index(name) for name in names]
    labels = own.examples.labels
    has = labels[:, places].any(1) if labels.ndim == 2 else np.isin(labels, places)
    return [own.lines[row] for row in np.flatnonzero(has)]


def alike(own: OwnTexts) -> list[Finding]:
    """SF203: labels that are one, written in several ways."""
    forms: dict[str, list[str]] = defaultdict(list)
    for name in own.task.labels:
        forms[plain(name)].append(name)
    several = [names for names in forms.values() if len(names) > 1]
    if not several:
        return []
    told = "; ".join(" and ".join(repr(name) for name in names) for names in several[:4])
    what = f"{counted(len(several), 'label')} written in several ways: {told}."
    # The rows to look at are those of the rarer ways.
    often = dict(zip(own.task.labels, counts(own).tolist(), strict=True))
    rarer = [name for names in several for name in sorted(names, key=often.__getitem__)[:-1]]
    do = "Write each label in one way: these are now different classes."
    return [finding("SF203", what, do, _rows_of(own, rarer))]


def plain(name: str) -> str:
    """A label without case, spaces and invisible characters; a number by its value."""
    if is_number(name):
        return repr(number(name))
    name = unicodedata.normalize("NFKC", name)
    return "".join(c for c in name.casefold() if not c.isspace() and unicodedata.category(c) != "Cf")


def _once(own: OwnTexts) -> bool:
    return own.task.kind == "classification" and len(own) > 2 and (counts(own) == 1).sum() > _ONCE * len(own)


def unique(own: OwnTexts) -> list[Finding]:
    """SF204: a column that names rows rather than classes."""
    if not _once(own):
        return []
    n = int((counts(own) == 1).sum())
    what = f"{n:,} of {len(own):,} rows have a label that no other row has, such as {listed(own.task.labels, 3)}."
    do = "Look whether this is the column of labels (--label), or a number (--kind=regression)."
    return [finding("SF204", what, do, serious=True)]


def uneven(own: OwnTexts) -> list[Finding]:
    """SF205: a class that is most of the rows."""
    if own.task.kind != "classification" or len(own.task.labels) < 2:
        return []
    found = counts(own)
    largest = int(found.argmax())
    share = found[largest] / len(own)
    if share < _LARGE:
        return []
    what = f"{share:.0%} of the rows are {own.task.labels[largest]}: who always says so is right in {share:.0%}."
    do = "Compare scores with that, look at each class's own, and try class_weights=balanced."
    return [finding("SF205", what, do)]


def numbers_as_classes(own: OwnTexts) -> list[Finding]:
    """SF206: an order that classes do not have."""
    names = own.task.labels
    if own.task.kind != "classification" or len(names) < 3 or not all(is_number(name) for name in names):
        return []
    what = f"The labels {listed(names)} are read as {len(names)} classes, which have no order."
    return [finding("SF206", what, "If 3 is nearer to 4 than to 1, say --kind=regression.")]


def classes_as_numbers(own: OwnTexts) -> list[Finding]:
    """SF207: whole numbers without gaps from 0 or 1 on, each several times, as numbers of classes are."""
    if own.task.kind != "regression":
        return []
    values, times = np.unique(own.examples.labels, return_counts=True)
    without_gaps = np.array_equal(values, np.arange(len(values)) + values[0]) and values[0] in (0, 1)
    if not without_gaps or len(values) <= _CLASSES or np.median(times) < 2:
        return []
    what = f"The labels are the {len(values)} whole numbers from {values[0]:g} to {values[-1]:g}, read as numbers."
    return [finding("SF207", what, "If they are numbers of classes, say --kind=classification.")]


def missing(own: OwnTexts) -> list[Finding]:
    """SF208: classes that are called as programs call nothing."""
    found = [name for name in own.task.labels if name.casefold() in MISSING]
    if not found:
        return []
    rows = _rows_of(own, found)
    what = f"{counted(len(rows), 'row')} labelled {' or '.join(found)}, such as {lines(rows)}."
    do = "If that means that the label is missing, leave these rows out: it is a class now."
    return [finding("SF208", what, do, rows)]


def unlabelled(own: OwnTexts) -> list[Finding]:
    """SF209: rows of several labels that have none."""
    labels = own.examples.labels
    if labels.ndim != 2 or labels.any(1).all():
        return []
    rows = [own.lines[row] for row in np.flatnonzero(~labels.any(1))]
    what = f"{counted(len(rows), 'row')} of {len(own):,} without any label, such as {lines(rows)}."
    do = "They are trained on as having none. If nobody has labelled them yet, leave them out."
    return [finding("SF209", what, do, rows)]


def few(own: OwnTexts, folds: int) -> list[Finding]:
    """SF301: too few rows for a score to mean much."""
    if len(own) >= _FEW:
        return []
    what = f"There are {counted(len(own), 'row')}; scores on so few are known to a tenth or worse."
    do = f"Label more: with {_FEW} or more, of each class several, it begins to be worth it."
    return [finding("SF301", what, do, serious=len(own) < 2 * folds)]


def skipped(own: OwnTexts) -> list[Finding]:
    """SF302: rows that are not looked at at all."""
    n = own.examples.n_skipped
    if not n:
        return []
    what = f"{counted(n, 'row')} of {len(own) + n:,} cannot be used and are left out."
    return [finding("SF302", what, "Without --skip-bad each is listed with what is wrong with it.")]
