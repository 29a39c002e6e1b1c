"""Whole commands beside PyTorch's: an epoch, eight seeds, a start; and what a run costs as it grows.

    .venv/bin/python -m benchmarks.contest epoch --data=DIR --rounds=3 --out=benchmarks/results/epoch.json
    .venv/bin/python -m benchmarks.contest seeds --data=DIR --out=benchmarks/results/seeds.json
    .venv/bin/python -m benchmarks.contest start --data=DIR --rounds=3 --out=benchmarks/results/start.json
    .venv/bin/python -m benchmarks.contest growth --data=DIR --out=benchmarks/results/growth.json

A contender is a list of commands that start together; it is done when the last of them is. The rounds go through the
contenders in turn, so that all meet the same load. Time is from the start of the process to its end: imports, loading,
compilation and evaluation are in it. Ours finds no compiled program, unless it is said that it does: then it ran once
before the first round, unmeasured. Memory is the largest resident set of a process.
"""

import argparse
import json
import os
import shlex
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.step_time import MALLOC, MODEL, machine

# Where compiled programs are kept: for one run, or as long as the suite goes on.
COLD, WARM = {"STABLEFIT_CACHE": "FOLDER/cache"}, {"STABLEFIT_CACHE": "KEPT/cache"}
OURS = f"-m stablefit.main --config=configs/rte.py --config.model={MODEL} --quiet"
OURS += " --config.learning_rate=5e-5 --config.keep=none"
THEIRS = "-m benchmarks.trainer"


class Command(NamedTuple):
    """A Python command line; DATA, FOLDER and KEPT in it stand for the data, a new folder, and the suite's."""

    line: str
    environment: Mapping[str, str] = {}
    until: str = ""  # a file of FOLDER: the time is taken when it has something in it, and the command is stopped


class Cost(NamedTuple):
    """What a contender took."""

    wall_s: float
    cpu_s: float
    peak_mb: float


def run(commands: Sequence[Command], places: Mapping[str, str], log: Path) -> Cost:
    """Starts the commands together and waits for all.

    Args:
        places: what KEPT and DATA stand for.

    Raises:
        SystemExit: one of them failed; what it said is in the log.
    """
    with tempfile.TemporaryDirectory() as folder, log.open("a") as said:
        start_s = time.perf_counter()
        pids = [_start(command, {"FOLDER": folder, **places}, said.fileno()) for command in commands]
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


def _start(command: Command, places: Mapping[str, str], log: int) -> int:
    words = [_placed(word, places) for word in shlex.split(command.line)]
    environment = {name: _placed(value, places) for name, value in command.environment.items()}
    actions = [(os.POSIX_SPAWN_DUP2, log, 1), (os.POSIX_SPAWN_DUP2, log, 2)]
    program = [sys.executable, *words]
    return os.posix_spawn(sys.executable, program, os.environ | environment, file_actions=actions)


def _placed(word: str, places: Mapping[str, str]) -> str:
    for name, place in places.items():
        word = word.replace(name, place)
    return word


def _until(file: Path, pid: int) -> float:
    """Waits until the file has something in it, or the process is dead; then stops the process. The time of that."""
    while not (file.is_file() and file.stat().st_size):
        time.sleep(0.02)
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            raise SystemExit(f"a process ended before it wrote {file.name}")
    now = time.perf_counter()
    os.kill(pid, 9)
    return now


def epoch(options: argparse.Namespace, kept: Path) -> dict[str, list[Command]]:
    """One epoch of RTE with its real lengths, one evaluation on validation, one on the test set."""
    del options, kept
    ours = f"{OURS} --config.data_dir=DATA --config.epochs=1 --config.evaluations=1 --workdir=FOLDER/w"
    theirs = f"{THEIRS} --data=DATA"
    return {
        "stablefit": [Command(ours, COLD)],
        "stablefit, compiled before": [Command(ours, WARM)],
        "stablefit, gradient=whole": [Command(f"{ours} --config.gradient=whole", COLD)],
        "stablefit, gradient=whole, compiled before": [Command(f"{ours} --config.gradient=whole", WARM)],
        "Trainer, padded to 128": [Command(f"{theirs} --padding=max_length", MALLOC)],
        "Trainer, dynamic padding, grouped by length": [Command(f"{theirs} --group", MALLOC)],
    }


def seeds(options: argparse.Namespace, kept: Path) -> dict[str, list[Command]]:
    """Seeds of RTE with 1,000 examples, three epochs, ten evaluations: from the command to the table."""
    del kept
    numbers = [str(i) for i in range(options.seeds)]
    ours = f"{OURS} --config.data_dir=DATA --config.train_examples=1000 --workdir=FOLDER/w"
    theirs = f"{THEIRS} --data=DATA --examples=1000 --epochs=3 --evaluations=10"

    def trainer(padding: str, own: list[str], threads: int) -> Command:
        return Command(f"{theirs} {padding} --seeds={','.join(own)} --threads={threads}", MALLOC)

    contenders = {"stablefit": [Command(f"{ours} --config.seeds={','.join(numbers)},", COLD)]}
    for name, padding in (("grouped by length", "--group"), ("padded to 128", "--padding=max_length")):
        halves = [trainer(padding, numbers[::2], 1), trainer(padding, numbers[1::2], 1)]
        contenders[f"Trainer, {name}, one after another"] = [trainer(padding, numbers, 2)]
        contenders[f"Trainer, {name}, two processes"] = halves
    return contenders


def start(options: argparse.Namespace, kept: Path) -> dict[str, list[Command]]:
    """From the command to the end of the first step."""
    del options, kept
    ours = f"{OURS} --config.data_dir=DATA --workdir=FOLDER/w"
    first = "w/seed_0/metrics.jsonl"
    return {
        "stablefit": [Command(ours, COLD, first)],
        "stablefit, compiled before": [Command(ours, WARM, first)],
        "Trainer": [Command(f"{THEIRS} --data=DATA --group --first=FOLDER/first", MALLOC, "first")],
    }


def growth(options: argparse.Namespace, kept: Path) -> dict[str, list[Command]]:
    """Ours alone, compiled before: more seeds, more examples, longer rows, more blocks."""
    del options
    base = {"train_examples": 500, "max_length": 64, "epochs": 1.0, "evaluations": 1, "seeds": "0,"}
    changes = {
        "500 examples, 64 pieces, 6 blocks, 1 seed": {},
        "2 seeds": {"seeds": "0,1"},
        "4 seeds": {"seeds": "0,1,2,3"},
        "1000 examples": {"train_examples": 1000},
        "2000 examples": {"train_examples": 2000},
        "128 pieces": {"max_length": 128},
        "256 pieces": {"max_length": 256},
        "3 blocks": {"model": with_blocks(3, kept)},
        "12 blocks": {"model": with_blocks(12, kept)},
    }

    def command(values: Mapping[str, object]) -> Command:
        fields = " ".join(f"--config.{name}={value}" for name, value in {**base, **values}.items())
        return Command(f"{OURS} --config.data_dir=DATA {fields} --workdir=FOLDER/w", WARM)

    return {name: [command(values)] for name, values in changes.items()}


def with_blocks(count: int, folder: Path) -> Path:
    """The model with so many blocks, its own in turn, as a new directory in the folder."""
    from stablefit.models import hf, sources

    directory = sources.resolve(MODEL)
    config = hf.load_config(directory)
    weights, _ = hf.load_encoder(directory, config)
    blocks = {f"layer_{i}": weights[f"layer_{i % config.num_hidden_layers}"] for i in range(count)}
    encoder = {name: tree for name, tree in weights.items() if not name.startswith("layer_")} | blocks
    new = folder / f"blocks_{count}"
    hf.save_encoder(new, {"encoder": encoder}, config.to_dict() | {"num_hidden_layers": count})
    for file in directory.glob("*tok*"):
        shutil.copy(file, new)
    return new


SUITES: dict[str, Callable[[argparse.Namespace, Path], dict[str, list[Command]]]] = {
    suite.__name__: suite for suite in (epoch, seeds, start, growth)
}


def table(costs: Mapping[str, Sequence[Cost]]) -> list[dict[str, object]]:
    """A row a contender: medians and spread."""
    return [
        {
            "contender": name,
            "wall_s": _median(of, "wall_s"),
            "wall_min_s": min(cost.wall_s for cost in of),
            "wall_max_s": max(cost.wall_s for cost in of),
            "cpu_s": _median(of, "cpu_s"),
            "peak_mb": _median(of, "peak_mb"),
        }
        for name, of in costs.items()
    ]


def ratios(costs: Mapping[str, Sequence[Cost]]) -> dict[str, dict[str, float]]:
    """Of medians: each of ours over each of theirs; where all are ours, each over the first."""
    ours = [name for name in costs if name.startswith("stablefit")]
    theirs = [name for name in costs if name not in ours]
    pairs = [(a, b) for a in ours for b in theirs] or [(a, theirs[0]) for a in theirs[1:]]
    return {
        f"{a} / {b}": {
            kind: round(_median(costs[a], kind) / _median(costs[b], kind), 3) for kind in ("wall_s", "cpu_s", "peak_mb")
        }
        for a, b in pairs
    }


def _median(of: Sequence[Cost], kind: str) -> float:
    return round(statistics.median(getattr(cost, kind) for cost in of), 2)


def write(out: Path, about: Mapping[str, object], costs: Mapping[str, Sequence[Cost]]) -> None:
    """What there is so far, as JSON; after each command, so that an interrupted suite has been worth its time."""
    runs = {name: [cost._asdict() for cost in of] for name, of in costs.items()}
    result = {"about": about, "results": table(costs), "ratios": ratios(costs), "runs": runs}
    out.write_text(json.dumps(result, indent=1) + "\n")


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
    about = machine() | {"suite": options.suite, "what": (suite.__doc__ or "").strip(), "rounds": options.rounds}
    print(", ".join(f"{name} {value}" for name, value in about.items()), flush=True)
    with tempfile.TemporaryDirectory() as kept:
        places = {"KEPT": kept, "DATA": str(Path(options.data).resolve())}
        contenders = suite(options, Path(kept))
        costs: dict[str, list[Cost]] = {name: [] for name in contenders}
        for commands in contenders.values():
            if any(command.environment == WARM for command in commands):
                run(commands, places, options.log)
        for number in range(options.rounds):
            for name, commands in contenders.items():
                cost = run(commands, places, options.log)
                costs[name].append(cost)
                if options.out:
                    write(options.out, about, {name: of for name, of in costs.items() if of})
                said = f"{cost.wall_s} s, {cost.cpu_s} s of CPU, {cost.peak_mb} MB"
                print(f"round {number + 1}  {name}: {said}", flush=True)
    rows, shares = table(costs), ratios(costs)
    print("\n" + f"{'':<84}" + "".join(f"{key:>12}" for key in list(rows[0])[1:]))
    for row in rows:
        print(f"{row['contender']:<84}" + "".join(f"{row[key]:>12}" for key in list(row)[1:]))
    for pair, share in shares.items():
        cells = (share["wall_s"], "", "", share["cpu_s"], share["peak_mb"])
        print(f"{pair:<84}" + "".join(f"{cell:>12}" for cell in cells))


if __name__ == "__main__":
    main()
