"""What is trained when: the batches of all members, packed into rows, in pieces of about a second.

A piece is what one call of the compiled program does. Its length follows the clock, so that the display moves and a
signal is answered soon; the bits do not depend on it, since a step's batch and keys are functions of the step.
"""

import itertools
import time
from collections.abc import Iterator, Sequence

import numpy as np

from stablefit.data import batches, packing
from stablefit.data.packing import Layout
from stablefit.training import processes

PIECE_SECONDS = 1.0
CAPACITY = 32  # most steps in a piece


class Order:
    """The batches of a run.

    Args:
        seeds: the data-order seed of every member.
        lengths: int [N], tokens of every training example.
        width: tokens in a row.
        batch_size: examples in a full batch.
        total_steps: T.
        quantum: the rows of a batch are a multiple of this; a large one gives every batch the same rows, so that one
            program does all.
        example_weights: [N], what each example's loss counts; None: all the same.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        lengths: np.ndarray,
        width: int,
        batch_size: int,
        total_steps: int,
        quantum: int,
        example_weights: np.ndarray | None = None,
    ):
        self._lengths, self._width = lengths, width
        self._schedules = [batches.schedule(len(lengths), batch_size, total_steps, seed) for seed in seeds]
        if example_weights is not None:
            self._schedules = [(indices, weights * example_weights[indices]) for indices, weights in self._schedules]
        self._places = [packing.places(*schedule, lengths, width) for schedule in self._schedules]
        # Members share a program, so a step has as many rows for each as the fullest needs.
        counts = np.array([[place.n_rows for place in member] for member in self._places]).max(0)
        self.rows = packing.row_counts(counts, quantum)
        self._capacity = min(CAPACITY, total_steps)
        self._seconds_per_row = 0.0

    def pieces(self, begin: int, end: int) -> Iterator[tuple[Layout, int]]:
        """The batches of steps begin..end: layouts with axes [M, S, ...], and how many of the S steps are filled."""
        for rows, steps in itertools.groupby(range(begin, end), lambda step: int(self.rows[step])):
            stretch = list(steps)
            start, stop = stretch[0], stretch[-1] + 1
            while start < stop:
                count = min(self._count(rows), stop - start)
                clock = time.monotonic()
                yield self._layout(start, start + count, rows), count
                self._seconds_per_row = (time.monotonic() - clock) / count / rows
                start += count

    def _count(self, rows: int) -> int:
        if not self._seconds_per_row:
            return 1  # to learn how long one takes
        count = int(np.clip(PIECE_SECONDS / (self._seconds_per_row * rows), 1, self._capacity))
        return processes.largest(count)  # every process has a clock of its own

    def _layout(self, start: int, stop: int, rows: int) -> Layout:
        members = [
            packing.layout(
                indices[start:stop], weights[start:stop], where[start:stop], self._lengths, self._width, rows
            )
            for (indices, weights), where in zip(self._schedules, self._places, strict=True)
        ]
        return Layout(*(_filled(np.stack(arrays), self._capacity) for arrays in zip(*members, strict=True)))


def _filled(x: np.ndarray, capacity: int) -> np.ndarray:
    """Pads the axis of steps, so that a program serves pieces of any length."""
    return np.pad(x, [(0, 0), (0, capacity - x.shape[1]), *[(0, 0)] * (x.ndim - 2)])
