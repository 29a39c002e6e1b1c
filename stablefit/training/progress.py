"""What a person sees while a run goes on: a bar on a terminal, plain lines in a log, nothing if quiet."""

import bisect
import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Any, TextIO

from tqdm import tqdm

_FIRST_PIECES = 4  # that say little of the speed
COMPILING = "compiling the first program, which takes about half a minute"


class Progress:
    """One display for all seeds of a run, or all runs of a study.

    Args:
        total: steps over all seeds.
        quiet: show nothing.
        stream: where to; a bar if it is a terminal, else lines.
        work: what all steps cost, in the unit of `weight`; without it they all cost the same.

    Attributes:
        weight: what a step of the current run costs; the time left is counted in this.
    """

    def __init__(self, total: int, quiet: bool = False, stream: TextIO | None = None, work: float | None = None):
        self.total, self.quiet = total, quiet
        self.done = 0
        self.weight = 1.0
        self.stream = sys.stderr if stream is None else stream
        self._work = work
        self._work_done = 0.0
        self._last_line = time.monotonic()
        self._timed: list[tuple[float, float]] = []  # work of the pieces so far, without what was skipped; and when
        self._bar = None
        if not quiet and self.stream is not None and self.stream.isatty():
            self._bar = _Bar(self, total=total, file=self.stream, unit="step", dynamic_ncols=True, leave=False)

    def __enter__(self) -> "Progress":
        with self._heard():
            if self._bar is not None:
                self._bar.set_description_str("compiling")
            elif self.total and not self.quiet:
                print(COMPILING, file=self.stream, flush=True)
        return self

    def __exit__(self, *_: object) -> None:
        with self._heard():
            if self._bar is not None:
                self._bar.close()

    @contextlib.contextmanager
    def _heard(self) -> Iterator[None]:
        """Where nobody listens any more, as behind `2> >(head)`, the work goes on in silence."""
        try:
            yield
        except (OSError, ValueError):  # a closed stream of Python raises the second
            if self._bar is not None:
                self._bar.disable = True  # else it says goodbye
            self.quiet, self._bar = True, None

    def skip(self, steps: int) -> None:
        """Steps that need not be done: an earlier part of the run has, or it stops early. They say nothing of speed."""
        self.done += steps
        self._work_done += steps * self.weight
        with self._heard():
            if self._bar is not None:
                self._bar.initial += steps
                self._bar.update(steps)

    def advance(self, steps: int, where: str, loss: float, score: str = "") -> None:
        """Steps are done: `where` says which seed and step, `score` the last validation score."""
        self.done += steps
        self._work_done += steps * self.weight
        before = self._timed[-1][0] if self._timed else 0.0
        self._timed.append((before + steps * self.weight, time.monotonic()))
        if self._bar is not None:
            with self._heard():
                self._bar.set_description_str(where, refresh=False)
                self._bar.said = {"loss": f", loss {loss:.4f}", "score": f", {score}" if score else ""}
                self._bar.update(steps)
        elif time.monotonic() - self._last_line > 30:
            self.line(f"{where}  loss {loss:.4f}")

    def line(self, text: str) -> None:
        """A line that stays, with the share done and the time left."""
        if self.quiet:
            return
        left = self.left()
        share = f"  [{self.done}/{self.total} steps{f', {left} left' if left else ''}]"
        with self._heard():
            if self._bar is not None:
                self._bar.write(text, file=self.stream)
            else:
                print(text + share, file=self.stream, flush=True)
        self._last_line = time.monotonic()

    def warn(self, text: str) -> None:
        """A line that is shown to those who want quiet too."""
        if self.quiet and self._bar is None:
            with self._heard():
                print(f"stablefit: {text}", file=self.stream, flush=True)
        else:
            self.line(text)

    def left(self) -> str:
        """The time that the rest takes at the speed of the last half of the work so far, evaluations included.

        Empty at the start: in the first pieces is the compiling of a program for each of their shapes.
        """
        if len(self._timed) <= _FIRST_PIECES:
            return ""
        (first, _), (last, now) = self._timed[0], self._timed[-1]
        at = bisect.bisect_left(self._timed, (first + (last - first) / 2, 0.0))
        before, began = self._timed[min(at, len(self._timed) - 2)]
        work = self.total * self.weight if self._work is None else self._work
        rest = max(0.0, work - self._work_done)
        minutes, seconds = divmod(int((now - began) / (last - before) * rest), 60)
        return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}" if minutes >= 60 else f"{minutes}:{seconds:02d}"


class _Bar(tqdm):
    """A bar with the time left of its display, which knows what steps cost; it says what the line has room for."""

    SHAPES = (
        "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{left}, {rate_fmt}{loss}{score}]",
        "{desc}: {percentage:3.0f}%|{bar}| {left} left{loss}{score}",
        "{desc}: {percentage:3.0f}%|{bar}| {left} left{score}",
        "{desc}: {percentage:3.0f}%|{bar}| {left} left",
    )
    NARROWEST = 8  # columns of the bar itself

    def __init__(self, progress: Progress, **options: Any):
        self._progress = progress
        self.said = {"loss": "", "score": ""}
        super().__init__(bar_format=self.SHAPES[0], **options)

    @property
    def format_dict(self) -> dict[str, Any]:
        known = {**super().format_dict, "left": self._progress.left() or "?", **self.said}
        for shape in self.SHAPES:
            known["bar_format"] = shape
            words = self.format_meter(**{**known, "ncols": None, "bar_format": shape.replace("{bar}", "")})
            if not known["ncols"] or len(words) + self.NARROWEST <= known["ncols"]:
                break
        return known
