"""How a person, or a machine, asks a run to stop: SIGINT and SIGTERM."""

import signal
from typing import Any


class Interrupted(Exception):
    """A signal ended the run; everything done is saved."""

    def __init__(self, signum: int):
        self.signum = signum


class Signals:
    """Notes SIGINT and SIGTERM for the loop to act on; a second one acts at once, as if it were not noted."""

    def __init__(self):
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Signals":
        for signum in (signal.SIGINT, signal.SIGTERM):
            self._before[signum] = signal.signal(signum, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)

    def _note(self, signum: int, _: object) -> None:
        self.received = signum
        self.__exit__()
