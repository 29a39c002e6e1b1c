"""The kinds of faults: what each promise is, and the trials by which it is tried."""

import errno
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.faults import children, damage, hosts, trials
from tests.faults.runs import Command
from tests.faults.trials import Trial

TOGETHER = "a cohort by two processes"


class Context(NamedTuple):
    """What trials are made of."""

    root: Path
    commands: Sequence[Command]
    found: dict[str, tuple[int, dict[str, str]]]  # of each command: changes of files, and what it leaves
    full: bool

    def places(self, command: Command, few: int, many: int) -> list[int]:
        """Numbers of changes, evenly over the command's."""
        n = min(many if self.full else few, self.found[command.name][0])
        return [1 + i * (self.found[command.name][0] - 1) // max(1, n - 1) for i in range(n)]

    def workdirs(self, name: str) -> Iterator[Path]:
        """New ones."""
        place = self.root / name
        place.mkdir()
        return (place / str(i) for i in range(10**6))


class Kind(NamedTuple):
    """Of faults."""

    name: str  # an anchor of docs/faults.md
    fault: str
    promise: str
    trials: Callable[[Context], Iterator[Trial]]


def kills(context: Context) -> Iterator[Trial]:
    new = context.workdirs("killed")
    few = {"two seeds": 4, "a cohort": 3, "compared seeds": 1, "a tagger": 1, "a grid": 1, "a fit": 0}
    for command in context.commands:
        expected = context.found[command.name][1]
        places = context.places(command, few[command.name], 15) if few[command.name] or context.full else []
        for i, n in enumerate(places):
            twice = (n, 1 + n // 2) if i % 3 == 2 else (n,)
            yield trials.killed(command, next(new), expected, twice)


def refusals(context: Context) -> Iterator[Trial]:
    return _at_changes(context, "refused", trials.refused, (errno.ENOSPC, errno.EIO, errno.EROFS))


def signals(context: Context) -> Iterator[Trial]:
    return _at_changes(context, "asked", trials.asked, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))


def _at_changes(context: Context, name: str, trial: Callable[..., Trial], numbers: Sequence[int]) -> Iterator[Trial]:
    """One for each number, the system's or a signal's, and each place in each command."""
    new = context.workdirs(name)
    for command in context.commands if context.full else context.commands[:1]:
        for number in numbers:
            for n in context.places(command, 1, 2):
                yield trial(command, next(new), context.found[command.name][1], n, number)


def pairs(context: Context) -> Iterator[Trial]:
    new = context.workdirs("pairs")
    for command in context.commands if context.full else context.commands[:1]:
        yield trials.twice_at_once(command, next(new), context.found[command.name][1])


def others(context: Context) -> Iterator[Trial]:
    new = context.workdirs("others")
    corrected = context.root / "corrected"
    shutil.copytree(context.root / "RTE", corrected / "RTE")
    file = corrected / "RTE" / "train.tsv"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))
    changes = ["--config.learning_rate=0.5", "--config.max_steps=5", f"--config.data_dir={corrected}"]
    for command in context.commands[:3] if context.full else context.commands[:1]:
        for change in changes:
            yield trials.other(command, context.root / "whole" / command.place, next(new), change)


def damages(context: Context) -> Iterator[Trial]:
    new = context.workdirs("damaged")
    command, (_, expected) = context.commands[0], context.found[context.commands[0].name]
    for seed in range(350 if context.full else 4):
        yield trials.damaged(command, context.root / "half", next(new), expected, seed, damage.saved, logs=False)


def damaged_logs(context: Context) -> Iterator[Trial]:
    new = context.workdirs("damaged logs")
    command, (_, expected) = context.commands[0], context.found[context.commands[0].name]
    for seed in range(150 if context.full else 4):
        yield trials.damaged(command, context.root / "half", next(new), expected, seed, damage.logged, logs=True)


def hosts_killed(context: Context) -> Iterator[Trial]:
    new = context.workdirs("hosts")
    command, (changes, expected) = context.commands[1], context.found[TOGETHER]
    for i in range(20):
        yield hosts.killed(command, next(new), expected, (i + 1) % 2, 1 + i * (changes - 1) // 19)


def half_done(context: Context) -> Iterator[Trial]:
    """A run that was killed in its second seed, after two saves of it, to be damaged."""
    command, workdir = context.commands[0], context.root / "half"

    def kill_later(path: str) -> None:
        saved = [state for state in damage.states(workdir) if state.is_relative_to(workdir / "seed_1")]
        if sum(map(damage.is_whole, saved)) > 1:
            children.kill(path)

    def trial() -> Trial:
        hook = children.at_change(workdir, 1, kill_later)
        [ended] = yield [trials.Step(command.main, command.at(workdir), hook)]
        return "" if ended.code == children.KILLED else f"the half-done run ended with {ended.code}: {ended.err[-300:]}"

    yield trial()


def malformed_files(context: Context) -> Iterator[Trial]:
    from tests.malformed import MALFORMED
    from tests.malformed_tags import MALFORMED_TAGS

    place = context.root / "malformed"
    for kind, files in (("texts", MALFORMED), ("tags", MALFORMED_TAGS)):
        for bad in files if context.full else files[::12]:
            folder = place / f"{kind}_{bad.name}"
            folder.mkdir(parents=True)
            (folder / bad.file).write_bytes(bad.content)
            for verb in ("check", "fit") if context.full else ("check",):
                out = folder / "out"
                more = [f"--out={out}"] if verb == "fit" else []
                yield trials.malformed(verb, [str(folder / bad.file), *more], out)


KINDS = (
    Kind(
        "killed",
        "killed (SIGKILL) before a change of a file, every third run twice",
        "the same command goes on where it was, with the same bits",
        kills,
    ),
    Kind(
        "interrupted",
        "SIGINT, SIGTERM or SIGHUP before a change of a file",
        "what is done is saved, exit code 128 and the signal's number; the same command goes on with the same bits",
        signals,
    ),
    Kind(
        "refused",
        "every change of a file refused from one on: disk full, broken, read-only",
        "one line that names the place, exit code 2; when the disk is well the same command goes on with the same bits",
        refusals,
    ),
    Kind(
        "pairs",
        "two processes on one folder at once",
        "one does the work; the other is refused in one line, or finds it done",
        pairs,
    ),
    Kind(
        "others",
        "another config, or other data, on the folder of a finished run",
        "refused in one line, and not a byte of the folder changes",
        others,
    ),
    Kind(
        "damaged",
        "a file of an unfinished run flipped, cut, zeroed, emptied or gone; its saves renamed",
        "nothing that has changed is used: the newest whole save is, and a line says which was passed over; "
        "or it is refused in one line",
        damages,
    ),
    Kind(
        "logs",
        "the same to its log or ledger",
        "the run and the report go on, or say in one line what is damaged",
        damaged_logs,
    ),
    Kind(
        "malformed",
        "a table or a tagging file that cannot be used",
        "one line or a list of the lines at fault, exit code 2, nothing written",
        malformed_files,
    ),
)
# These take minutes each.
LONG_KINDS = (
    Kind(
        "hosts",
        "one of two processes of --distributed killed",
        "the other ends within two minutes, and the same command goes on with the same bits",
        hosts_killed,
    ),
)
