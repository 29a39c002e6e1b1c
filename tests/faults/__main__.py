"""Faults of machines and people, set against the commands as they are: one table, tried and clean.

    python -m tests.faults                                                     # make faults
    python -m tests.faults --full --out=benchmarks/results/faults.json         # make faults-full

A fault is clean if the command ends as it should (code 2 and one line, or the signal's code, never a traceback), and
the same command, given again, leaves the same bits as one that was never disturbed: rows, logs, parameters and
predictions.
"""

import argparse
import errno
import json
import os
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.faults import children, trials
from tests.faults.runs import Command, commands
from tests.faults.trials import Told, Trial


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


def kills(context: Context) -> Iterator[Trial]:
    new = context.workdirs("killed")
    few = {"two seeds": 5, "a cohort": 4, "compared seeds": 1, "a tagger": 1, "a grid": 2}
    for command in context.commands:
        expected = context.found[command.name][1]
        places = context.places(command, few[command.name], 60)
        for i, n in enumerate(places):
            twice = (n, 1 + n // 2) if i % 3 == 2 else (n,)
            yield trials.killed(command, next(new), expected, twice)


def refusals(context: Context) -> Iterator[Trial]:
    new = context.workdirs("refused")
    for command in context.commands[: 5 if context.full else 1]:
        for number in (errno.ENOSPC, errno.EIO, errno.EROFS):
            for n in context.places(command, 2, 12):
                yield trials.refused(command, next(new), context.found[command.name][1], n, number)


def signals(context: Context) -> Iterator[Trial]:
    new = context.workdirs("asked")
    for command in context.commands[: 5 if context.full else 1]:
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            for n in context.places(command, 1, 8):
                yield trials.asked(command, next(new), context.found[command.name][1], n, signum)


def pairs(context: Context) -> Iterator[Trial]:
    new = context.workdirs("pairs")
    for command in context.commands if context.full else context.commands[:1]:
        for _ in range(3 if context.full else 1):
            yield trials.twice_at_once(command, next(new), context.found[command.name][1])


def flips(context: Context, logs: bool) -> Iterator[Trial]:
    new = context.workdirs("flipped logs" if logs else "flipped")
    command = context.commands[0]
    for seed in range(200 if context.full else 6):
        yield trials.flipped(command, context.root / "half", next(new), context.found[command.name][1], seed, logs)


def half_done(context: Context) -> Iterator[Trial]:
    """A run that was killed in its second seed, for bits to be flipped in."""
    command, workdir = context.commands[0], context.root / "half"
    n = context.found[command.name][0]

    def trial() -> Trial:
        hook = children.at_change(workdir, n * 4 // 5, children.kill)
        [ended] = yield [trials.Step(command.main, command.at(workdir), hook)]
        return "" if ended.code == children.KILLED else f"the half-done run ended with {ended.code}: {ended.err[-300:]}"

    yield trial()


def malformed_files(context: Context) -> Iterator[Trial]:
    from tests.malformed import MALFORMED
    from tests.malformed_tags import MALFORMED_TAGS

    place = context.root / "malformed"
    for kind, files in (("texts", MALFORMED), ("tags", MALFORMED_TAGS)):
        for bad in files if context.full else files[::8]:
            folder = place / f"{kind}_{bad.name}"
            folder.mkdir(parents=True)
            (folder / bad.file).write_bytes(bad.content)
            for verb in ("check", "fit") if context.full else ("check",):
                out = folder / "out"
                more = [f"--out={out}"] if verb == "fit" else []
                yield trials.malformed(verb, [str(folder / bad.file), *more], out)


KINDS: dict[str, Callable[[Context], Iterator[Trial]]] = {
    "killed before a change of a file, some of them twice": kills,
    "every change refused from one on: full, broken, read-only": refusals,
    "SIGINT, SIGTERM, SIGHUP at a change of a file": signals,
    "two processes on one workdir at once": pairs,
    "a bit flipped in a save of an unfinished run": lambda context: flips(context, logs=False),
    "a bit flipped in its log or ledger": lambda context: flips(context, logs=True),
    "a malformed file": malformed_files,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    ready()
    with tempfile.TemporaryDirectory(prefix="faults_") as place:
        table = tabled(Path(place), options.full, options.jobs)
    for name, told in table.items():
        print(f"{told.tried:5d} tried {told.tried - len(told.wrong):5d} clean   {name}")
    for name, told in table.items():
        for wrong in told.wrong:
            print(f"{name}: {wrong}")
    if options.out:
        command = "python -m tests.faults" + (" --full" if options.full else "")
        rows = [
            {"fault": name, "tried": told.tried, "clean": told.tried - len(told.wrong), "wrong": told.wrong}
            for name, told in table.items()
        ]
        options.out.write_text(json.dumps({"command": command, "rows": rows}, indent=1) + "\n")
    return 1 if any(told.wrong for told in table.values()) else 0


def ready() -> None:
    """Imports what the children need, so that each starts at once; JAX itself starts in the children."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    warnings.filterwarnings("ignore", message="os.fork", category=RuntimeWarning)
    import transformers  # noqa: F401

    import stablefit.study.grid
    import stablefit.study.report
    import stablefit.training.bundle
    import stablefit.training.loop
    import stablefit.training.plan  # noqa: F401


def tabled(root: Path, full: bool, jobs: int) -> dict[str, Told]:
    """Every kind of fault with how it went."""
    context = Context(root, commands(root), {}, full)
    clock = time.monotonic()

    def say(line: str) -> None:
        print(f"\r{time.monotonic() - clock:5.0f} s  {line[:110]:110s}", end="", file=sys.stderr, flush=True)

    undisturbed = [
        trials.reference(one, root / "whole" / str(i), context.found) for i, one in enumerate(context.commands)
    ]
    first = trials.run(undisturbed, root, jobs, say)
    if not first.wrong:
        first = trials.run(half_done(context), root, jobs, say)
    if first.wrong:
        return {"a command without faults": first}
    table: dict[str, Told] = {}
    for name, kind in KINDS.items():
        table[name] = trials.run(kind(context), root, jobs, lambda line, name=name: say(f"{name}: {line}"))
    print(file=sys.stderr)
    return table


if __name__ == "__main__":
    sys.exit(main())
