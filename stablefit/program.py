"""What every entry point has in common: its usage, its exit codes, and one line for a mistake."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from stablefit.errors import InputError

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
        the exit code: that of `body`, or 2 for an InputError, which is said in one line.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    if not argv or "--help" in argv or "-h" in argv:
        print(usage, end="")
        return 0
    try:
        return body(argv)
    except InputError as error:
        print(f"stablefit: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # Whoever reads, such as `head`, has enough; the rest goes nowhere, or leaving would fail on it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SIGNALLED + signal.SIGPIPE


def interrupted(workdir: object, signum: int) -> int:
    """Says that a run was stopped and can go on; returns the exit code."""
    print(f"stablefit: interrupted, saved in {workdir}; the same command goes on from there", file=sys.stderr)
    return SIGNALLED + signum


def leave(code: int) -> None:
    """Ends the process at once: nothing is left to do, and the teardown of native threads takes a second."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
