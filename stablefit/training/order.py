"""What is trained when: the batches of all members, packed into rows, in pieces of about a second.

A piece is what one call of the compiled program does. Its length follows the clock, so that the display moves and a
signal is answered soon; the bits do not depend on it, since a step's batch and keys are functions of the step.
"""

import itertools
import math
import time
from collections.abc import Iterator, Sequence

import numpy as np

from stablefit.data import batches, packing
from stablefit.data.packing import Layout
from stablefit.training import processes

PIECE_SECONDS = 1.0
CAPACITY = 32  # most steps in a piece
PART_TOKENS = 256  # with fewer a step takes longer: benchmarks/results/parts.json
_TRIED = 64  # batches that the rows of a part are chosen by


def part_rows(lengths: np.ndarray, width: int, batch_size: int, quantum: int) -> int:
    """Rows of a part of a batch: of those with one to two times `PART_TOKENS` what pads the batches least.

    It does not depend on a seed, so that runs share a program. A batch that is no larger is one part.

    Args:
        lengths: int [N], tokens of the examples that batches are drawn from.
        width: tokens in a row.
        batch_size: examples in a full batch.
        quantum: the rows are a multiple of this.

    >>> [part_rows(np.full(640, n), width, 32, 2) for n, width in ((70, 128), (28, 64), (12, 32), (6, 8))]
    [2, 4, 8, 32]
    """
    least, whole = (-(-n // quantum) * quantum for n in (max(2, -(-PART_TOKENS // width)), batch_size))
    most = max(least, 2 * PART_TOKENS // width)
    if least >= whole:
        return whole
    counts = _tried(lengths, width, batch_size)
    return min(range(least, most + 1, quantum), key=lambda rows: packing.row_counts(counts, rows).sum())


def usual_rows(lengths: np.ndarray, width: int, batch_size: int) -> int:
    """Rows that next to every batch fits into: a tenth more than the fullest of some; arguments as of `part_rows`.

    It does not depend on a seed either: neither programs nor bits of batches that fit change with whose they are.

    >>> usual_rows(np.full(640, 30), 128, 32), usual_rows(np.full(640, 70), 128, 32)
    (9, 32)
    """
    return min(batch_size, math.ceil(1.1 * _tried(lengths, width, batch_size).max(initial=0)))


def _tried(lengths: np.ndarray, width: int, batch_size: int) -> np.ndarray:
    """The rows that some batches need."""
    n_batches = min(_TRIED, batches.total_steps(len(lengths), batch_size, 1.0))
    tried = packing.places(*batches.schedule(len(lengths), batch_size, n_batches, 0), lengths, width)
    return np.array([place.n_rows for place in tried])


class Order:
    """The batches of a run.

    Args:
        seeds: the data-order seed of every member.
        lengths: int [N], tokens of every training example.
        width: tokens in a row.
        batch_size: examples in a full batch.
        total_steps: T.
        quantum: the rows of a batch are a multiple of this.
        part_rows: the rows of a part of a batch, a multiple of the quantum; 0: a batch is one part.
        example_weights: [N], what each example's loss counts; None: all the same.
        least_rows: every batch has as many, so that one program does next to all.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        lengths: np.ndarray,
        width: int,
        batch_size: int,
        total_steps: int,
        quantum: int,
        part_rows: int = 0,
        example_weights: np.ndarray | None = None,
        least_rows: int = 0,
    ):
        self._lengths, self._width = lengths, width
        self._schedules = [batches.schedule(len(lengths), batch_size, total_steps, seed) for seed in seeds]
        if example_weights is not None:
            self._schedules = [(indices, weights * example_weights[indices]) for indices, weights in self._schedules]
        self._places = [packing.places(*schedule, lengths, width) for schedule in self._schedules]
        # Members share a program, so a step has as many rows for each as the fullest needs.
        counts = np.array([[place.n_rows for place in member] for member in self._places]).max(0)
        self._filled_rows = packing.row_counts(np.maximum(counts, least_rows), part_rows or quantum)
        self._part_rows, self._room = part_rows, batch_size
        # Parts that no example is in cost nothing, so with parts one program does all batches of all seeds.
        self.rows = self._filled_rows
        if part_rows:
            self.rows = packing.row_counts(np.full_like(counts, batch_size), part_rows)
            each = zip(self._places, self._schedules, strict=True)
            most = max(packing.most_in_a_part(where, weights, part_rows) for where, (_, weights) in each)
            self._room = int(packing.row_counts(np.array(most), max(1, batch_size // 4)))
        self._capacity = min(CAPACITY, total_steps)
        self._seconds_per_row = 0.0

    def pieces(self, begin: int, end: int) -> Iterator[tuple[Layout, int]]:
        """The batches of steps begin..end: layouts with axes [M, S, P, ...], and how many of the S steps are filled."""
        for rows, steps in itertools.groupby(range(begin, end), lambda step: int(self.rows[step])):
            stretch = list(steps)
            start, stop = stretch[0], stretch[-1] + 1
            while start < stop:
                count = min(self._count(int(self._filled_rows[start])), stop - start)
                clock = time.monotonic()
                yield self._layout(start, start + count, rows), count
                filled = int(self._filled_rows[start : start + count].sum())
                self._seconds_per_row = (time.monotonic() - clock) / filled
                start += count

    def _count(self, rows: int) -> int:
        if not self._seconds_per_row:
            return 1  # to learn how long one takes
        count = int(np.clip(PIECE_SECONDS / (self._seconds_per_row * rows), 1, self._capacity))
        return processes.largest(count)  # every process has a clock of its own

    def _layout(self, start: int, stop: int, rows: int) -> Layout:
        whole = (
            packing.layout(
                indices[start:stop], weights[start:stop], where[start:stop], self._lengths, self._width, rows
            )
            for (indices, weights), where in zip(self._schedules, self._places, strict=True)
        )
        members = [packing.in_parts(layout, self._part_rows or rows, self._room) for layout in whole]
        return Layout(*(_filled(np.stack(arrays), self._capacity) for arrays in zip(*members, strict=True)))


def _filled(x: np.ndarray, capacity: int) -> np.ndarray:
    """Pads the axis of steps, so that a program serves pieces of any length."""
    return np.pad(x, [(0, 0), (0, capacity - x.shape[1]), *[(0, 0)] * (x.ndim - 2)])
