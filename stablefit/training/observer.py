"""Who is told of runs while they go on: JSON lines, TensorBoard, the display, and whoever else wants to know.

An observer changes no number. It is told of the runs that are trained together, after the fact, and in every process.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stablefit.training.member import Member
from stablefit.training.progress import Progress
from stablefit.training.rundir import MetricsFile, tensorboard_writer

Row = Mapping[str, Any]


class Observer:
    """Told of nothing it does not ask for: a subclass overrides what it wants to know.

    `member.run` says whose seed of which cell it is, `member` how far it has come. An exception ends the run; started
    again, it goes on from its last save.
    """

    def step(self, members: Sequence[Member], rows: Sequence[Sequence[Row]]) -> None:
        """Some steps are done, a second's worth: of each member a row a step, with `step`, `loss`, `grad_norm`."""

    def evaluation(self, members: Sequence[Member], rows: Sequence[Row]) -> None:
        """The members were scored on validation: of each a row with `step`, `split` and the scores."""

    def end(self, members: Sequence[Member], rows: Sequence[Row]) -> None:
        """The members are finished and their files written: of each its row of the ledger."""


class JsonLines(Observer):
    """Writes metrics.jsonl in the folder of each seed.

    Args:
        members: those that it will be told of; the files of a resumed run are cut back to where that is.
        step: the last one done.
    """

    def __init__(self, members: Sequence[Member], step: int):
        self._files = {member.run: MetricsFile(member.run.folder, step, member.evaluated) for member in members}
        going = [member.run for member in members if member.going]
        self.gaps = [gap for run in going if (gap := self._files[run].gap)]  # of a log that was damaged meanwhile

    def step(self, members: Sequence[Member], rows: Sequence[Sequence[Row]]) -> None:
        for member, own in zip(members, rows, strict=True):
            self._files[member.run].add([dict(row) for row in own])

    def evaluation(self, members: Sequence[Member], rows: Sequence[Row]) -> None:
        self.step(members, [[row] for row in rows])


class TensorBoard(Observer):
    """Writes the same as TensorBoard's files.

    Raises:
        InputError: the package that writes them is not installed.
    """

    def __init__(self, members: Sequence[Member]):
        self._writers = {member.run: tensorboard_writer(member.run.folder) for member in members}

    def step(self, members: Sequence[Member], rows: Sequence[Sequence[Row]]) -> None:
        for member, own in zip(members, rows, strict=True):
            for row in own:
                for name in row.keys() - {"step", "split"}:
                    self._writers[member.run].add_scalar(f"{row.get('split', 'train')}/{name}", row[name], row["step"])

    def evaluation(self, members: Sequence[Member], rows: Sequence[Row]) -> None:
        self.step(members, [[row] for row in rows])


class Display(Observer):
    """What a person sees of them.

    Args:
        progress: the display of the whole run or study.
        metric: what steps are chosen by.
        total: T, the steps of a run.
        several: whether the runs are of several cells, which are then named.
        seen: whether what stands in for validation is trained on; its score is then none.
    """

    def __init__(self, progress: Progress, metric: str, total: int, several: bool, seen: bool = False):
        self._progress, self._metric, self._total = progress, metric, total
        self._several, self._seen = several, seen

    def step(self, members: Sequence[Member], rows: Sequence[Sequence[Row]]) -> None:
        first, last = members[0], members[-1]
        if len(members) == 1:
            who = self._title(first)
        elif self._several:
            who = f"{len(members)} runs of {len({member.run.cell for member in members})} cells"
        else:
            who = f"seeds {first.run.seed}..{last.run.seed}"
        score = f"best {self._metric} {first.best_score:.4f}" if first.best_validation and not self._seen else ""
        where = f"{who} step {max(own[-1]['step'] for own in rows)}/{self._total}"
        loss = float(np.mean([own[-1]["loss"] for own in rows]))
        self._progress.advance(sum(map(len, rows)), where, loss, score)
        for member in members:
            if member.diverged_at:
                what = "diverged: the loss or the gradient is not finite; it stops here"
                self._progress.line(f"{self._title(member)}  step {member.diverged_at}/{self._total}  {what}")

    def evaluation(self, members: Sequence[Member], rows: Sequence[Row]) -> None:
        for member, row in zip(members, rows, strict=True):
            note = "  stopped by patience" if member.stopped else ""
            note = "  best so far" if member.best_step == row["step"] else note
            note = "  diverged: it stops here" if member.diverged_at else note
            loss = f"loss {row['loss']:.4f}"
            score = f"validation {self._metric} {row[self._metric]:.4f}  {loss}{note}"
            told = f"{loss} on rows seen" if self._seen else score
            self._progress.line(f"{self._title(member)}  step {row['step']}/{self._total}  {told}")

    def _title(self, member: Member) -> str:
        return f"{member.run.cell}  seed {member.run.seed}" if self._several else f"seed {member.run.seed}"
