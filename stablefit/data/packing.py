"""Several examples in one row: what a batch costs is its tokens, not its padding.

The examples of a batch share rows of one length. Attention stays inside an example (block-diagonal, by segment number)
and positions start again with each, so every example's logits, and the batch's gradient, are what padding gives up to
rounding. Which examples form a batch does not change.
"""

from typing import NamedTuple

import numpy as np


class Layout(NamedTuple):
    """Where the tokens of some batches lie: S batches of E examples in R rows of T tokens.

    Arrays may have further axes in front, and one of the parts of a batch behind S, see `in_parts`. A filler example
    has weight 0 and takes no room.
    """

    source: np.ndarray  # [S, R, T] int32, index into the flattened [N * T] token table
    segments: np.ndarray  # [S, R, T] int32, number of the example inside the row from 1, 0 on padding
    positions: np.ndarray  # [S, R, T] int32, from 0 in each example
    cls_rows: np.ndarray  # [S, E] int32, where each example's first token is
    cls_columns: np.ndarray  # [S, E] int32
    examples: np.ndarray  # [S, E] int32, index of the example, for its label
    weights: np.ndarray  # [S, E] float32


class Place(NamedTuple):
    """The rows of one batch."""

    rows: np.ndarray  # [E] int32
    columns: np.ndarray  # [E] int32, of the first token
    n_rows: int  # rows used, at least 1


def first_fit(lengths: np.ndarray, width: int) -> Place:
    """Packs examples into rows: longest first, each into the first row with room (first-fit decreasing).

    Args:
        lengths: int [E], at most `width`; 0 for a filler, which is put nowhere and says row 0, column 0.
        width: tokens in a row.

    >>> first_fit(np.array([5, 3, 4, 2]), 8)
    Place(rows=array([0, 0, 1, 1], dtype=int32), columns=array([0, 5, 0, 4], dtype=int32), n_rows=2)
    """
    rows = np.zeros(len(lengths), np.int32)
    columns = np.zeros(len(lengths), np.int32)
    used: list[int] = []
    for i in np.argsort(-lengths, kind="stable"):
        length = int(lengths[i])
        if length == 0:
            break
        row = next((r for r, n in enumerate(used) if n + length <= width), len(used))
        if row == len(used):
            used.append(0)
        rows[i], columns[i] = row, used[row]
        used[row] += length
    return Place(rows, columns, max(1, len(used)))


def places(indices: np.ndarray, weights: np.ndarray, lengths: np.ndarray, width: int) -> list[Place]:
    """Packs every batch of a schedule.

    Args:
        indices, weights: [S, E], from `batches.schedule`.
        lengths: int [N], tokens of every example.
        width: tokens in a row.
    """
    return [first_fit(np.where(w > 0, lengths[i], 0), width) for i, w in zip(indices, weights, strict=True)]


def row_counts(counts: np.ndarray, quantum: int) -> np.ndarray:
    """How many rows each batch is given: its own count, rounded up so that few programs are compiled.

    Args:
        counts: int [S], rows that each batch needs.
        quantum: a count is a multiple of this.

    >>> row_counts(np.array([15, 16, 17]), 4)
    array([16, 16, 20])
    """
    return -(-counts // quantum) * quantum


def layout(
    indices: np.ndarray, weights: np.ndarray, where: list[Place], lengths: np.ndarray, width: int, rows: int
) -> Layout:
    """The arrays of S batches in `rows` rows each.

    Args:
        indices, weights: [S, E].
        where: S places, none with more rows than `rows`.
        lengths: int [N].
        width: tokens in a row, and in a row of the token table.
        rows: R.
    """
    shape = (len(indices), rows, width)
    source, segments, positions = (np.zeros(shape, np.int32) for _ in range(3))
    for s, place in enumerate(where):
        number = np.zeros(rows, np.int32)
        for example, weight, row, column in zip(indices[s], weights[s], place.rows, place.columns, strict=True):
            if weight == 0:
                continue
            length = int(lengths[example])
            here = slice(column, column + length)
            number[row] += 1
            source[s, row, here] = example * width + np.arange(length)
            segments[s, row, here] = number[row]
            positions[s, row, here] = np.arange(length)
    cls_rows, cls_columns = (np.stack([getattr(p, name) for p in where]) for name in ("rows", "columns"))
    return Layout(source, segments, positions, cls_rows, cls_columns, indices, weights)


def most_in_a_part(where: list[Place], weights: np.ndarray, rows: int) -> int:
    """The most examples that `rows` rows of a batch have, counted from its first row on.

    Args:
        where: S places.
        weights: [S, E].
    """
    parts = [place.rows[w > 0] // rows for place, w in zip(where, weights, strict=True)]
    return max(int(np.bincount(part).max(initial=0)) for part in parts)


def in_parts(whole: Layout, rows: int, room: int) -> Layout:
    """The same batches, each cut into P parts of a few rows: the gradient of a batch is the sum of theirs.

    Args:
        whole: S batches of E examples in P `rows` rows.
        rows: of a part.
        room: examples of a part, at least `most_in_a_part`.

    Returns:
        [S, P, ...] arrays; of tokens [S, P, rows, T], of examples [S, P, room], fillers behind them. Parts that have
        none are the last ones.
    """
    steps, n_rows, width = whole.source.shape
    parts = n_rows // rows
    if parts == 1:
        return Layout(*(x[:, None] for x in whole))
    tokens = [x.reshape(steps, parts, rows, width) for x in (whole.source, whole.segments, whole.positions)]
    examples = [np.zeros((steps, parts, room), x.dtype) for x in whole[3:]]
    step, example = np.nonzero(whole.weights)
    part = whole.cls_rows[step, example] // rows
    order = np.lexsort((example, part, step))
    step, example, part = step[order], example[order], part[order]
    # How many of the same part are before it.
    number = step * parts + part
    slot = np.arange(len(number)) - np.searchsorted(number, number)
    for new, old in zip(examples, whole[3:], strict=True):
        new[step, part, slot] = old[step, example]
    split = Layout(*tokens, *examples)
    return split._replace(cls_rows=split.cls_rows % rows)


def evaluation_layout(lengths: np.ndarray, width: int, batch: int, quantum: int) -> tuple[Layout, np.ndarray]:
    """Every example once, in batches of like total length: longest, shortest and all between are dealt out in turn.

    Args:
        lengths: int [N].
        width: tokens in a row.
        batch: most examples in a batch.
        quantum: the rows of a batch are a multiple of this, the number of devices that share them.

    Returns:
        the layout, and int [N]: where in the flattened [S * E] outputs each example is.
    """
    n = len(lengths)
    count = -(-n // batch)
    size = -(-n // count)
    slots = np.full((size, count), -1, np.int64)
    slots.reshape(-1)[:n] = np.argsort(-lengths, kind="stable")
    dealt = slots.T
    weights = (dealt >= 0).astype(np.float32)
    indices = np.maximum(dealt, 0).astype(np.int32)
    where = places(indices, weights, lengths, width)
    rows = int(row_counts(np.array([max(p.n_rows for p in where)]), quantum)[0])
    order = np.zeros(n, np.int64)
    order[indices[weights > 0]] = np.flatnonzero(weights.reshape(-1) > 0)
    return layout(indices, weights, where, lengths, width, rows), order
