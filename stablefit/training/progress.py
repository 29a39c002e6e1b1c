"""What a person sees while a run goes on: a bar on a terminal, plain lines in a log, nothing if quiet."""

import sys
import time
from typing import TextIO

from tqdm import tqdm


class Progress:
    """One display for all seeds of a run.

    Args:
        total: steps over all seeds.
        quiet: show nothing.
        stream: where to; a bar if it is a terminal, else lines.
    """

    def __init__(self, total: int, quiet: bool = False, stream: TextIO | None = None):
        self.total, self.quiet = total, quiet
        self.done = 0
        self.stream = sys.stderr if stream is None else stream
        self._skipped = 0
        self._begin = self._last_line = time.monotonic()
        self._bar = None
        if not quiet and self.stream.isatty():
            self._bar = tqdm(total=total, file=self.stream, unit="step", dynamic_ncols=True, leave=False)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def skip(self, steps: int) -> None:
        """Steps that an earlier part of the run has done; they say nothing about the speed of this one."""
        self.done += steps
        self._skipped += steps
        if self._bar is not None:
            self._bar.initial += steps
            self._bar.update(steps)

    def advance(self, steps: int, where: str, loss: float, score: str = "") -> None:
        """Steps are done: `where` says which seed and step, `score` the last validation score."""
        self.done += steps
        if self._bar is not None:
            self._bar.set_description_str(where, refresh=False)
            self._bar.set_postfix_str(f"loss {loss:.4f}" + (f", {score}" if score else ""), refresh=False)
            self._bar.update(steps)
        elif time.monotonic() - self._last_line > 30:
            self.line(f"{where}  loss {loss:.4f}")

    def line(self, text: str) -> None:
        """A line that stays, with the share done and the time left."""
        if self.quiet:
            return
        if self._bar is not None:
            self._bar.write(text, file=self.stream)
        else:
            print(f"{text}  [{self.done}/{self.total} steps{self._left()}]", file=self.stream, flush=True)
        self._last_line = time.monotonic()

    def _left(self) -> str:
        new = self.done - self._skipped
        if new == 0:
            return ""
        seconds = (time.monotonic() - self._begin) / new * (self.total - self.done)
        return f", {int(seconds // 60)}:{int(seconds % 60):02d} left"
