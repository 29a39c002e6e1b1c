"""Observers for tests: one that asks a run to stop, one that keeps what it is told."""

import signal

from stablefit.training.observer import Observer


class StopAfter(Observer):
    """A signal after so many steps of a program; `seen` counts them, whatever its number of members."""

    def __init__(self, count: int | None = None, signum: int = signal.SIGTERM):
        self.count, self.signum, self.seen = count, signum, 0

    def step(self, members, rows):
        self.seen += len(rows[0])
        if self.seen == self.count:
            signal.raise_signal(self.signum)


class Told(Observer):
    """Everything, in its order: what, who, rows."""

    def __init__(self):
        self.events = []

    def step(self, members, rows):
        self.events.append(("step", [(m.run.cell, m.run.seed) for m in members], [list(own) for own in rows]))

    def evaluation(self, members, rows):
        self.events.append(("evaluation", [(m.run.cell, m.run.seed) for m in members], list(rows)))

    def end(self, members, rows):
        self.events.append(("end", [(m.run.cell, m.run.seed) for m in members], list(rows)))
