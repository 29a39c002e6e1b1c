"""How a person, or a machine, asks a run to stop: SIGINT, SIGTERM, and SIGHUP of a terminal that is closed."""

import signal
import threading
from typing import Any


class Interrupted(Exception):
    """A signal ended the run; everything done is saved."""

    def __init__(self, signum: int):
        self.signum = signum


class Signals:
    """Notes SIGINT, SIGTERM and SIGHUP for the loop to act on; a second one acts at once, as if it were not noted.

    Python gives signals to the main thread alone, so a run in another thread notes none.
    """

    def __init__(self):
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Signals":
        main = threading.current_thread() is threading.main_thread()
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if main else ():
            if signum != signal.SIGHUP or signal.getsignal(signum) != signal.SIG_IGN:  # under nohup it goes on
                self._before[signum] = signal.signal(signum, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)

    def _note(self, signum: int, _: object) -> None:
        self.received = signum
        self.__exit__()
