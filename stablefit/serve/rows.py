"""Examples of many lengths in few shapes: rows of a few widths, filled up, in batches of a few sizes.

A row is opened by the longest example that is left and is as wide as a power of two lets it be; shorter ones fill it
(best-fit decreasing), so hardly a token is padding. Each shape is a compiled program, so their number is kept small.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

NARROWEST, USUAL = 32, 128  # tokens in a row: at least; and where there are examples enough to fill it
# Tokens in a batch, at most, if a row is no longer than that. On a CPU what its caches hold: MiniLM takes 270
# microseconds a token there and 307 in batches of 4,096 (one core of a server; benchmarks/predict.py).
MOST, MOST_ON_CPU = 4096, 1024
_FEWEST = 8  # tokens of room an example has: a row of 128 takes 16 at most


@dataclasses.dataclass(frozen=True)
class Batch:
    """Where the examples of a batch lie: E of them in R rows of T tokens.

    Args:
        examples: int [n], which examples; n is at most E.
        rows, columns: int32 [E], of each example's first token; 0 of a filler.
        shape: R and T.
    """

    examples: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    shape: tuple[int, int]


@dataclasses.dataclass
class _Row:
    width: int
    examples: list[int]
    columns: list[int]
    used: int = 0


def batches(lengths: np.ndarray, limit: int, usual: int = USUAL, most: int = MOST) -> Iterator[Batch]:
    """Every example once, wide rows first.

    Args:
        lengths: int [N], at least 1.
        limit: most tokens in a row; at least the longest example.
        usual: rows are at least so wide, where there are tokens enough.
        most: tokens in a batch, padding among them, unless a row alone has more.

    >>> [(b.examples.tolist(), b.columns[:3].tolist(), b.shape) for b in batches(np.array([40, 9, 60]), 64)]
    [([2, 0, 1], [0, 0, 40], (2, 64))]
    """
    rows = _filled(lengths, limit, usual)
    for width in sorted({row.width for row in rows}, reverse=True):
        same = [row for row in rows if row.width == width]
        start = 0
        for count in _counts(len(same), max(1, most // width)):
            yield _batch(same[start : start + count], count, width)
            start += count


def _filled(lengths: np.ndarray, limit: int, usual: int) -> list[_Row]:
    total = int(lengths.sum())
    least = min(usual, max(NARROWEST, 1 << (total - 1).bit_length())) if total else usual
    rows: list[_Row] = []
    free: dict[int, list[_Row]] = {}  # rows by the room they have left
    for i in np.argsort(-lengths, kind="stable").tolist():
        length = int(lengths[i])
        room = min((size for size in free if size >= length), default=0)
        if room:
            row = free[room].pop()
            if not free[room]:
                del free[room]
        else:
            row = _Row(min(limit, max(least, 1 << (length - 1).bit_length())), [], [])
            rows.append(row)
        row.examples.append(i)
        row.columns.append(row.used)
        row.used += length
        left = row.width - row.used
        if left and len(row.examples) < max(1, row.width // _FEWEST):
            free.setdefault(left, []).append(row)
    return rows


def _counts(n: int, most: int) -> list[int]:
    """How many rows each batch has: as many as there may be, then powers of two; the last may have a quarter empty.

    >>> _counts(71, 32), _counts(3, 32), _counts(5, 32)
    ([32, 32, 8], [4], [4, 1])
    """
    counts = [most] * (n // most)
    left = n % most
    while left:
        above = min(most, 1 << (left - 1).bit_length())
        count = above if 4 * left >= 3 * above else above // 2
        counts.append(count)
        left -= min(left, count)
    return counts


def _batch(rows: list[_Row], count: int, width: int) -> Batch:
    examples = np.array([i for row in rows for i in row.examples], np.int64)
    slots = max(_FEWEST, 1 << (len(examples) - 1).bit_length())
    where, columns = np.zeros(slots, np.int32), np.zeros(slots, np.int32)
    where[: len(examples)] = np.repeat(np.arange(len(rows)), [len(row.examples) for row in rows])
    columns[: len(examples)] = [column for row in rows for column in row.columns]
    return Batch(examples, where, columns, (count, width))
