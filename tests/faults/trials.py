"""Trials: each is a generator that asks for commands to be run and says at last what was wrong, or nothing."""

import errno
import json
import random
import shutil
import signal
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from stablefit import cli, report
from tests.faults import children, damage, runs
from tests.faults.children import Ended, Hook, Main
from tests.faults.runs import Command

SECONDS = 300.0  # after which a command is given up


class Step(NamedTuple):
    """A command to be run in a child."""

    main: Main
    argv: Sequence[str]
    hook: Hook | None = None


Steps = Sequence[Step]  # at the same time
Harm = Callable[[Path, random.Random], str]
Row = dict[str, Any]  # of the table
Trial = Generator[Steps, Sequence[Ended], str]


class Told(NamedTuple):
    """How trials of one kind went."""

    tried: int
    wrong: list[str]


def row_of(kind: str, fault: str, promise: str, told: Told, seconds: float) -> Row:
    """What the table has of a kind."""
    clean = told.tried - len(told.wrong)
    counts = {"tried": told.tried, "clean": clean, "wrong": told.wrong, "seconds": round(seconds)}
    return {"kind": kind, "fault": fault, "promise": promise, **counts}


def run(trials: Iterable[Trial], scratch: Path, jobs: int, say: Callable[[str], None]) -> Told:
    """Runs trials, so many at a time."""
    waiting, wrong, tried = list(trials), [], 0
    going: list[tuple[Trial, list[tuple[int, Path, float]], list[Ended | None]]] = []
    total, number = len(waiting), 0
    while waiting or going:
        while waiting and len(going) < jobs:
            trial = waiting.pop(0)
            going.append((trial, *_begun(next(trial), scratch, number)))
            number += 1
        for one in list(going):
            trial, started, found = one
            for i, (child, place, since) in enumerate(started):
                if found[i] is None:
                    late = time.monotonic() - since > SECONDS
                    found[i] = children.given_up(child, place) if late else children.ended(child, place)
            ended = [e for e in found if e is not None]
            if len(ended) < len(found):
                continue
            going.remove(one)
            try:
                going.append((trial, *_begun(trial.send(ended), scratch, number)))
                number += 1
            except StopIteration as stop:
                tried += 1
                wrong += [stop.value] if stop.value else []
                say(f"{tried}/{total}{': ' + stop.value if stop.value else ''}")
        time.sleep(0.02)
    return Told(tried, wrong)


def _begun(steps: Steps, scratch: Path, number: int) -> tuple[list[tuple[int, Path, float]], list[Ended | None]]:
    started = []
    for i, step in enumerate(steps):
        place = scratch / f"said_{number}_{i}"
        started.append((children.start(step.main, step.argv, place, step.hook), place, time.monotonic()))
    return started, [None] * len(started)


# --- what a command leaves without faults


def reference(command: Command, workdir: Path, found: dict[str, tuple[int, dict[str, str]]]) -> Trial:
    """Runs a command undisturbed; its changes of files are counted."""
    count = workdir.with_suffix(".count")
    workdir.parent.mkdir(parents=True, exist_ok=True)
    [ended] = yield [Step(command.main, command.at(workdir), children.counting(workdir, count))]
    if ended.code:
        return f"{command.name}: undisturbed: code {ended.code}: {ended.err[-300:]}"
    return (yield from counted(command, workdir, count, found))


def counted(command: Command, workdir: Path, count: Path, found: dict[str, tuple[int, dict[str, str]]]) -> Trial:
    """Notes the number of changes and what was left."""
    left = workdir.with_suffix(".left")
    yield [Step(runs.main_of_left, [str(workdir), str(left)])]
    found[command.name] = count.stat().st_size, json.loads(left.read_text())
    return ""


def _again(command: Command, workdir: Path, expected: dict[str, str], what: str, logs: bool = True) -> Trial:
    """The same command: it must end well, and leave the same bits."""
    [ended] = yield [Step(command.main, command.at(workdir))]
    if ended.code or "WARNING" in ended.err:  # a library's own words
        return f"{what}, then again: code {ended.code}: {ended.err[-300:]}"
    return (yield from compared(workdir, expected, f"{what}, then again", logs))


def compared(workdir: Path, expected: dict[str, str], what: str, logs: bool = True) -> Trial:
    """What a workdir holds, bit for bit.

    Args:
        logs: False: a log may differ, and parameters that are refused when they are read count as the same.
    """
    left = workdir.with_suffix(".left")
    [read] = yield [Step(runs.main_of_left, [str(workdir), str(left)])]
    if read.code:
        return f"{what}: what it left cannot be read: {read.err[-300:]}"
    found = json.loads(left.read_text())
    apart = [name for name in runs.differences(expected, found) if logs or not name.endswith(": log")]
    apart = [name for name in apart if logs or found.get(name) != runs.REFUSED]
    return f"{what}: other bits: {', '.join(apart)}" if apart else ""


# --- the faults


def killed(command: Command, workdir: Path, expected: dict[str, str], places: Sequence[int]) -> Trial:
    """Killed before its n-th change of a file, for each place in turn; then the same command."""
    what = f"{command.name}, killed at change {' and '.join(map(str, places))}"
    for n in places:
        hook = children.at_change(workdir, n, children.kill)
        [ended] = yield [Step(command.main, command.at(workdir), hook)]
        if ended.code not in (0, children.KILLED):
            return f"{what}: code {ended.code}: {ended.err[-300:]}"
    return (yield from _again(command, workdir, expected, what))


def refused(command: Command, workdir: Path, expected: dict[str, str], n: int, number: int) -> Trial:
    """The system refuses the n-th and every later change; then the same command, with the system well again."""
    what = f"{command.name}, {errno.errorcode[number]} from change {n} on"
    hook = children.at_change(workdir, n, children.refuse(number))
    [ended] = yield [Step(command.main, command.at(workdir), hook)]
    if ended.code not in (0, 2) or (ended.code and not ended.in_one_line):
        return f"{what}: code {ended.code}: {ended.err[-400:]}"
    return (yield from _again(command, workdir, expected, what))


def asked(command: Command, workdir: Path, expected: dict[str, str], n: int, signum: int) -> Trial:
    """A signal to stop at the n-th change; then the same command."""
    what = f"{command.name}, {signal.Signals(signum).name} at change {n}"
    hook = children.at_change(workdir, n, children.ask(signum))
    [ended] = yield [Step(command.main, command.at(workdir), hook)]
    if ended.code not in (0, children.SIGNALLED + signum) or "Traceback" in ended.err:
        return f"{what}: code {ended.code}: {ended.err[-300:]}"
    return (yield from _again(command, workdir, expected, what))


def twice_at_once(command: Command, workdir: Path, expected: dict[str, str]) -> Trial:
    """Two processes on one workdir at the same time: one does the work, the other is refused or finds it done."""
    both = yield [Step(command.main, command.at(workdir))] * 2
    codes = sorted(one.code for one in both)
    if codes not in ([0, 0], [0, 2]) or any(one.code and not one.in_one_line for one in both):
        return f"{command.name}, two at once: codes {codes}: {both[0].err[-200:]} {both[1].err[-200:]}"
    return (yield from _again(command, workdir, expected, f"{command.name}, two at once"))


def other(command: Command, whole: Path, workdir: Path, change: str) -> Trial:
    """Another config, or other data, on what a command has left: refused, and nothing is touched.

    Args:
        whole: what it has left.
        change: the argument that makes it another.
    """
    shutil.copytree(whole, workdir)
    before = _bytes(workdir)
    [ended] = yield [Step(command.main, [*command.at(workdir), change])]
    what = f"{command.name}, then with {change.split('=')[0]}"
    if ended.code != 2 or not ended.in_one_line:
        return f"{what}: code {ended.code}: {ended.err[-300:]}"
    changed = [name for name, content in _bytes(workdir).items() if before.pop(name, None) != content]
    return f"{what}: changed: {', '.join([*changed, *before])}" if changed or before else ""


def _bytes(workdir: Path) -> dict[str, bytes]:
    files = (file for file in workdir.rglob("*") if file.is_file() and file.name != ".lock")
    return {str(file.relative_to(workdir)): file.read_bytes() for file in files}


def damaged(
    command: Command, half_done: Path, workdir: Path, expected: dict[str, str], seed: int, harm: Harm, logs: bool
) -> Trial:
    """A file of an unfinished run is damaged: the same bits at the end, or one line and nothing lost.

    Where a state is damaged beside one that is whole, the run must go on, and say what it passed over.

    Args:
        half_done: a workdir whose run was killed.
        harm: what damages it and says how.
        logs: of a ledger or a log, in which a digit cannot be told from another: these must only be read or refused.
    """
    shutil.copytree(half_done, workdir)
    newest = damage.states(workdir)[0].relative_to(workdir)
    harmed = harm(workdir, random.Random(seed))
    what = f"{command.name}, {harmed}"
    goes_on = "/state/" in harmed and any(damage.is_whole(state) for state in damage.states(workdir))
    [ended] = yield [Step(command.main, command.at(workdir))]
    if ended.code == 2 and ended.in_one_line and not goes_on:
        return ""
    if ended.code:
        return f"{what}: code {ended.code}: {ended.err[-400:]}"
    if goes_on and str(newest) in harmed and "the save before it is used" not in ended.err:
        return f"{what}: passed over without a word: {ended.err[-300:]}"
    if harmed.endswith("seed_0/predictions.npz") and "predictions.npz: " not in ended.err:  # of a finished seed
        return f"{what}: used without a word: {ended.err[-300:]}"
    if logs:
        [page] = yield [Step(report.main, [str(workdir)])]
        fine = page.code == 0 or (page.code == 2 and page.in_one_line)
        return "" if fine else f"{what}: report: code {page.code}: {page.err[-300:]}"
    return (yield from _again(command, workdir, expected, what, logs=False))


def malformed(verb: str, argv: Sequence[str], out: Path) -> Trial:
    """A file that cannot be used: code 2, one line, nothing written."""
    [ended] = yield [Step(cli.main, [verb, *argv])]
    what = f"{verb} {Path(argv[0]).parent.name}"
    if ended.code != 2 or not ended.in_one_line:
        return f"{what}: code {ended.code}: {ended.err[-300:]}"
    return f"{what}: {out} was written" if out.exists() else ""
