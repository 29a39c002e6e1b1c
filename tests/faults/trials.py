"""Trials: each is a generator that asks for commands to be run and says at last what was wrong, or nothing."""

import errno
import json
import random
import shutil
import signal
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from stablefit import cli, report
from tests.faults import children, runs
from tests.faults.children import Ended, Hook, Main
from tests.faults.runs import Command

SECONDS = 300.0  # after which a command is given up


class Step(NamedTuple):
    """A command to be run in a child."""

    main: Main
    argv: Sequence[str]
    hook: Hook | None = None


Steps = Sequence[Step]  # at the same time
Trial = Generator[Steps, Sequence[Ended], str]


class Told(NamedTuple):
    """How trials of one kind went."""

    tried: int
    wrong: list[str]


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
    left = workdir.with_suffix(".left")
    yield [Step(runs.main_of_left, [str(workdir), str(left)])]
    found[command.name] = count.stat().st_size, json.loads(left.read_text())
    return ""


def _again(command: Command, workdir: Path, expected: dict[str, str], what: str, logs: bool = True) -> Trial:
    """The same command: it must end well, and leave the same bits."""
    [ended] = yield [Step(command.main, command.at(workdir))]
    if ended.code:
        return f"{what}, then again: code {ended.code}: {ended.err[-300:]}"
    left = workdir.with_suffix(".left")
    [read] = yield [Step(runs.main_of_left, [str(workdir), str(left)])]
    if read.code:
        return f"{what}, then again: what it left cannot be read: {read.err[-300:]}"
    found = json.loads(left.read_text())
    apart = [name for name in runs.differences(expected, found) if logs or not name.endswith(": log")]
    apart = [name for name in apart if logs or found.get(name) != runs.REFUSED]
    return f"{what}, then again: other bits: {', '.join(apart)}" if apart else ""


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


def flipped(command: Command, half_done: Path, workdir: Path, expected: dict[str, str], seed: int, logs: bool) -> Trial:
    """A bit of a file of an unfinished run, flipped: the same bits at the end, or one line and nothing lost.

    Args:
        half_done: a workdir whose run was killed.
        logs: of a ledger or a log, in which a digit cannot be told from another: these must only be read or refused.
    """
    shutil.copytree(half_done, workdir)
    rng = random.Random(seed)
    files = sorted(file for file in workdir.rglob("*") if file.is_file() and file.stat().st_size)
    logged = [file for file in files if file.name in ("metrics.jsonl", "results.jsonl")]
    file = rng.choice(logged if logs else [file for file in files if file not in logged])
    content = bytearray(file.read_bytes())
    place, bit = rng.randrange(len(content)), rng.randrange(8)
    content[place] ^= 1 << bit
    file.write_bytes(content)
    what = f"{command.name}, bit {bit} of byte {place} of {file.relative_to(workdir)}"
    [ended] = yield [Step(command.main, command.at(workdir))]
    if ended.code == 2 and ended.in_one_line:
        return ""
    if ended.code:
        return f"{what}: code {ended.code}: {ended.err[-400:]}"
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
