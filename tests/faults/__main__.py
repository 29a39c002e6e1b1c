"""Faults of machines and people, set against the commands as they are: one table, tried and clean.

    python -m tests.faults                                                     # make faults
    python -m tests.faults --full --out=benchmarks/results/faults.json         # make faults-full

A fault is clean if the command ends as it should (code 2 and one line, or the signal's code, never a traceback), and
the same command, given again, leaves the same bits as one that was never disturbed: rows, logs, parameters and
predictions. Kinds that the file of --out has already are not tried again.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.faults import hosts, trials
from tests.faults.kinds import KINDS, LONG_KINDS, TOGETHER, Context, Kind, half_done
from tests.faults.runs import commands
from tests.faults.trials import Row

CACHE = Path(__file__).parent.parent.parent / ".cache" / "faults"  # of compiled programs
RAY = "ray"  # kinds of tests.faults.cluster


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--only", default="", help="kinds of this name, such as killed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    before = json.loads(options.out.read_text())["rows"] if options.out and options.out.is_file() else []
    known = {row["kind"] for row in before}
    asked = [kind for kind in (*KINDS, *(LONG_KINDS if options.full else ())) if options.only in ("", kind.name)]
    rows: list[Row] = list(before)

    def add(new: Row) -> None:
        rows.append({**new, "full": options.full})
        print(f"\r{new['tried']:5d} tried {new['clean']:5d} clean   {new['fault'][:100]:100}", flush=True)
        for wrong in new["wrong"]:
            print(f"{new['kind']}: {wrong}", flush=True)
        if options.out:
            options.out.write_text(json.dumps({"rows": rows}, indent=1) + "\n")

    left = [kind for kind in asked if kind.name not in known]
    if left:
        with tempfile.TemporaryDirectory(prefix="faults_") as place:
            try_kinds(Path(place), left, options.full, options.jobs, add)
    if options.full and options.only in ("", RAY) and RAY not in known:
        for row in on_ray():
            add(row)
    return 1 if any(row["wrong"] for row in rows) else 0


def try_kinds(root: Path, kinds: Sequence[Kind], full: bool, jobs: int, add: Callable[[Row], None]) -> None:
    """Each kind of fault, one after another; a kind's row as soon as it is done."""
    ready()
    context = Context(root, commands(root, full), {}, full)
    clock = time.monotonic()

    def say(line: str) -> None:
        print(f"\r{time.monotonic() - clock:5.0f} s  {line[:110]:110s}", end="", file=sys.stderr, flush=True)

    undisturbed = [trials.reference(one, root / "whole" / one.place, context.found) for one in context.commands]
    if any(kind in LONG_KINDS for kind in kinds):
        together = context.commands[1]._replace(name=TOGETHER)
        undisturbed.append(hosts.reference(together, root / "whole" / "together", context.found))
    first = trials.run(undisturbed, root, jobs, say)
    if not first.wrong:
        first = trials.run(half_done(context), root, jobs, say)
    if first.wrong:
        sys.exit("without faults: " + "; ".join(first.wrong))
    for kind in kinds:
        since = time.monotonic()
        told = trials.run(kind.trials(context), root, jobs, lambda line, kind=kind: say(f"{kind.name}: {line}"))
        add(trials.row_of(kind.name, kind.fault, kind.promise, told, time.monotonic() - since))


def on_ray() -> list[Row]:
    """The kinds of a cluster, in a process of their own: a process that has Ray must not fork."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "rows.json"
        subprocess.run([sys.executable, "-m", "tests.faults.cluster", str(out)], check=False)
        return json.loads(out.read_text())


def ready() -> None:
    """Imports what the children need, so that each starts at once; JAX itself starts in the children."""
    os.environ |= {"TOKENIZERS_PARALLELISM": "false", "STABLEFIT_CACHE": str(CACHE)}
    warnings.filterwarnings("ignore", message="os.fork", category=RuntimeWarning)
    import jax
    import transformers  # noqa: F401

    import stablefit.study.grid
    import stablefit.study.report
    import stablefit.training.bundle
    import stablefit.training.loop
    import stablefit.training.plan  # noqa: F401

    jax.config.update("jax_disable_most_optimizations", True)  # tiny programs need no optimising


if __name__ == "__main__":
    sys.exit(main())
