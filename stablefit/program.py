"""What every entry point has in common: its usage, its exit codes, and one line for a mistake."""

import argparse
import contextlib
import errno
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from stablefit import extras
from stablefit.errors import HostLost, InputError

SIGNALLED = 128  # plus the signal's number, as shells say it


class Arguments(argparse.ArgumentParser):
    """argparse, with every mistake as an InputError; the usage is the command's own text."""

    def __init__(self):
        super().__init__(add_help=False, allow_abbrev=False, usage=argparse.SUPPRESS)

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; --help lists the arguments")


def at_least(least: int) -> Callable[[str], int]:
    """The type of an argument that is a whole number from `least` up."""

    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise ValueError
        return value

    number.__name__ = f"whole number from {least} up"  # as argparse's message ends
    return number


def run(usage: str, body: Callable[[Sequence[str]], int], argv: Sequence[str] | None) -> int:
    """Calls `body` with the arguments, or prints the usage if there are none or they ask for it.

    Returns:
        the exit code: that of `body`, or 2 for an InputError or a package that is not installed, said in one line.
    """
    argv = sys.argv[1:] if argv is None else list(argv)

    def called() -> int:
        if not argv or "--help" in argv or "-h" in argv:
            print(usage, end="")
            return 0
        return body(argv)

    return guarded(called)


def guarded(call: Callable[[], int]) -> int:
    """The exit code of `call`, or of what it raised that a person can do something about, said in one line."""
    try:
        with _ended_by_ctrl_c():
            return call()
    except InputError as error:
        tell(" ".join(str(error).split()))
        return 2
    except HostLost as error:
        tell(str(error))
        return 1
    except KeyboardInterrupt:  # before the first step, or asked twice
        tell(_INTERRUPTED)
        return SIGNALLED + signal.SIGINT
    except ModuleNotFoundError as error:
        said = extras.remedy(error)
        if said is None:
            raise
        tell(said)
        return 2
    except BrokenPipeError:
        # Whoever reads, such as `head`, has enough; the rest goes nowhere, or leaving would fail on it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SIGNALLED + signal.SIGPIPE
    except OSError as error:
        tell(of_the_system(error))
        return 2
    except RuntimeError as error:
        if "home directory" not in str(error):  # of Path.expanduser
            raise
        tell("a path begins with ~ and the name of nobody here; write it out")
        return 2


_SWALLOWED = 4.0  # seconds after Ctrl-C in which the program must have ended, or begun to


@contextlib.contextmanager
def _ended_by_ctrl_c() -> Iterator[None]:
    """Ctrl-C ends the program also where its exception is lost: in a callback of the collector, or in a library.

    Nothing is lost by it: files are written whole, and a run that is asked to stop has a handler of its own.
    """
    own = threading.current_thread() is threading.main_thread()
    if not own or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    timers: list[threading.Timer] = []
    before = sys.unraisablehook

    def asked(*_: object) -> None:
        timer = threading.Timer(_SWALLOWED, _end)
        timer.daemon = True
        timer.start()
        timers.append(timer)
        raise KeyboardInterrupt

    def lost(what: "sys.UnraisableHookArgs") -> None:
        if issubclass(what.exc_type, KeyboardInterrupt):
            _end()
        before(what)

    signal.signal(signal.SIGINT, asked)
    sys.unraisablehook = lost
    try:
        yield
    finally:
        sys.unraisablehook = before
        for timer in timers:
            timer.cancel()
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end() -> None:
    tell(_INTERRUPTED)
    os._exit(SIGNALLED + signal.SIGINT)


_INTERRUPTED = "interrupted; what was saved before is as it was"
_REMEDIES = {
    errno.ENOSPC: "free some space; the same command goes on",
    errno.EDQUOT: "free some space; the same command goes on",
    errno.EROFS: "give a folder that can be written to",
    errno.EACCES: "give a place that you may read and write",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.ENOTDIR: "a part of the path is a file; give another",
    errno.ENOENT: "it is not there, or was removed meanwhile",
    errno.ELOOP: "a link leads to itself; give another",
    errno.EIO: "the disk could not be read or written; look at it, and give the same command again",
}


def of_the_system(error: OSError) -> str:
    """What the operating system refused, in one line: where, what, and what can be done."""
    where = f"{str(error.filename)[:300]}: " if error.filename is not None else ""
    said = error.strerror or " ".join(str(error).split())[:200] or type(error).__name__
    remedy = _REMEDIES.get(error.errno or 0, "")
    return where + said + (f"; {remedy}" if remedy else "")


def place_of(error: BaseException, file: Path) -> str:
    """`file:line` of what in a person's own program failed: a config or a sweep."""
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).is_file():
        return f"{error.filename}:{error.lineno}"
    line, trace = 0, error.__traceback__
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename).resolve() == file.resolve():
            line = trace.tb_lineno
        trace = trace.tb_next
    return f"{file}:{line}" if line else str(file)


def of_their_program(error: BaseException, file: Path) -> str:
    """What failed in it, in one line."""
    message = error.msg if isinstance(error, SyntaxError) else error  # str() would repeat the place
    return f"{place_of(error, file)}: {type(error).__name__}: {message}"


def interrupted(workdir: object, signum: int) -> int:
    """Says that a run was stopped and can go on; returns the exit code."""
    tell(f"interrupted, saved in {workdir}; the same command goes on from there")
    return SIGNALLED + signum


def tell(line: str) -> None:
    """Says a line on stderr, if anybody is there to read it: Ctrl-C ends `tee` as well."""
    with contextlib.suppress(BrokenPipeError):
        print(f"stablefit: {line}", file=sys.stderr, flush=True)


def leave(code: int) -> None:
    """Ends the process at once: nothing is left to do, and the teardown of native threads takes a second."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = code or SIGNALLED + signal.SIGPIPE
    except OSError as error:  # what was printed is lost: its disk is full
        tell(of_the_system(error))
        code = code or 2
    with contextlib.suppress(OSError):
        sys.stderr.flush()
    os._exit(code)
