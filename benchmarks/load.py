"""How long a model takes from `import stablefit` to its first answer, each time in a fresh process.

    .venv/bin/python -m benchmarks.load --rounds=7 --out=benchmarks/results/load.json

The model is MiniLM (22 million weights) as `stablefit fit` keeps it, of one seed and of five, and as `stablefit export`
writes it. Compiled programs lie in the cache that every command uses, as they do from the second start on: the first
process fills it and is shown as `first_start`. What is measured: the import; `stablefit.load(DIR)`; the first
`predict` of two texts, for which the program is traced and read from the cache; and the same once more.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import predict
from benchmarks.step_time import machine

PARTS = ("import_s", "load_s", "first_predict_s", "next_predict_s")
_TEXTS = ["A fine film.", "The worst thing that I have seen in years, and I have seen a few."]


def once(folder: Path) -> dict[str, float]:
    """The seconds of each part, in this process."""
    times = [time.perf_counter()]
    import stablefit

    load = stablefit.load
    times.append(time.perf_counter())
    model = load(folder)
    times.append(time.perf_counter())
    for _ in range(2):
        model.predict(_TEXTS)
        times.append(time.perf_counter())
    return {name: times[i + 1] - times[i] for i, name in enumerate(PARTS)}


def fresh(folder: Path, cache: Path) -> dict[str, float]:
    """The same in a process of its own."""
    line = [sys.executable, "-m", "benchmarks.load", "--once", str(folder)]
    done = subprocess.run(line, env={**os.environ, "STABLEFIT_CACHE": str(cache)}, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def summary(rounds: list[dict[str, float]]) -> dict[str, Any]:
    """Medians over processes, and the least and most of what comes after the import.

    >>> times = [dict(zip(PARTS, parts)) for parts in ((1.0, 0.5, 0.25, 0.1), (2.0, 0.5, 0.75, 0.1))]
    >>> summary(times)["after_import_s"], summary(times)["import_s"]
    ({'median': 1.0, 'least': 0.75, 'most': 1.25}, 1.5)
    """
    after = [one["load_s"] + one["first_predict_s"] for one in rounds]
    found = {"median": statistics.median(after), "least": min(after), "most": max(after)}
    return {
        **{name: round(statistics.median(one[name] for one in rounds), 3) for name in PARTS},
        "after_import_s": {name: round(value, 3) for name, value in found.items()},
    }


def measure(rounds: int) -> dict[str, Any]:
    """Each kind of folder, in turns."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        predict.write_model(place / "one")
        predict.write_model(place / "five", members=5)
        folders = {
            "fit of 1 seed": place / "one" / "fit",
            "fit of 5 seeds": place / "five" / "fit",
            "exported": place / "one" / "exported",
        }
        found: dict[str, Any] = {}
        taken: dict[str, list[dict[str, float]]] = {of: [] for of in folders}
        for of, folder in folders.items():
            first = fresh(folder, place / f"programs_{of}")
            found[of] = {"first_start": {part: round(seconds, 3) for part, seconds in first.items()}}
        for _ in range(rounds):
            for of, folder in folders.items():
                taken[of].append(fresh(folder, place / f"programs_{of}"))
    return {of: {**summary(taken[of]), **found[of]} for of in folders}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--once", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        print(json.dumps(once(options.once)))
        return
    found = measure(options.rounds)
    versions = {package: version(package) for package in ("jax", "flax", "safetensors", "tokenizers")}
    about = {"machine": machine(), "versions": versions, "rounds": options.rounds, **found}
    text = json.dumps(about, indent=2) + "\n"
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
