"""A command in a process of its own that a fault can end: forked from one in which everything is imported already.

A fault is set by an audit hook of Python: it sees every file that is opened, renamed or removed, before that is done.
"""

import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

SIGNALLED = 128
KILLED = SIGNALLED + 9
_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate"}

Hook = Callable[[str, tuple[Any, ...]], None]
Main = Callable[[Sequence[str]], int]


class Ended(NamedTuple):
    """How a command ended."""

    code: int  # as a shell has it: 128 + N after signal N; -1: it did not end in time
    out: str
    err: str
    at: float  # when that was seen

    @property
    def in_one_line(self) -> bool:
        """Whether it said why it failed as commands of this project do."""
        return "Traceback" not in self.err and "stablefit: " in self.err


def start(main: Main, argv: Sequence[str], place: Path, hook: Hook | None = None) -> int:
    """Forks; returns the child's number. What it prints is in `place`."""
    place.mkdir(parents=True, exist_ok=True)
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(place / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, signal.default_int_handler if signum == signal.SIGINT else signal.SIG_DFL)
        if hook:
            sys.addaudithook(hook)
        code = main(list(argv))
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def ended(child: int, place: Path) -> Ended | None:
    """How a child has ended; None while it runs."""
    done, status = os.waitpid(child, os.WNOHANG)
    if not done:
        return None
    code = os.waitstatus_to_exitcode(status)
    return Ended(SIGNALLED - code if code < 0 else code, *_said(place))


def given_up(child: int, place: Path) -> Ended:
    """Ends a child that takes too long."""
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return Ended(-1, *_said(place))


def _said(place: Path) -> tuple[str, str, float]:
    out, err = ((place / name).read_text(errors="replace") for name in ("out", "err"))
    return out, err, time.monotonic()


def at_change(workdir: Path, n: int, act: Callable[[str], None]) -> Hook:
    """Calls `act` with the path before the n-th change of a file below `workdir`, from 1, and before all later ones."""
    seen = 0

    def hook(event: str, given: tuple[Any, ...]) -> None:
        nonlocal seen
        path = changed(event, given)
        if path is not None and path.startswith(str(workdir)):
            seen += 1
            if seen >= n:
                act(path)

    return hook


def changed(event: str, given: tuple[Any, ...]) -> str | None:
    """The path that an event is about to change; None if it changes nothing."""
    if event == "open":
        path, mode, flags = given
        writes = any(sign in mode for sign in "wax+") if mode else (flags or 0) & (os.O_WRONLY | os.O_RDWR)
        return os.fsdecode(path) if writes and not isinstance(path, int) else None
    if event in _CHANGES and given and not isinstance(given[0], int):
        return os.fsdecode(given[0])
    return None


def counting(workdir: Path, file: Path) -> Hook:
    """Writes the number of changes below `workdir` into a file, one sign for each."""
    out = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def count(_: str) -> None:
        os.write(out, b".")

    return at_change(workdir, 1, count)


def kill(_: str) -> None:
    """As SIGKILL: nothing is flushed, nothing is closed."""
    os._exit(KILLED)


def once(act: Callable[[str], None]) -> Callable[[str], None]:
    """The first time only."""
    left = [act]
    return lambda path: left.pop()(path) if left else None


def ask(signum: int) -> Callable[[str], None]:
    """A signal to stop."""
    return once(lambda _: os.kill(os.getpid(), signum))


def refuse(number: int) -> Callable[[str], None]:
    """The system's refusal of that number."""

    def act(path: str) -> None:
        raise OSError(number, os.strerror(number), path)

    return act
