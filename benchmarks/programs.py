"""Programs that are compiled and timed one after the other, each in a process of its own: for `parts` and `layers`."""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks.step_time import machine


def prepare() -> None:
    """Sets the process up as runs do, without programs that were compiled before."""
    from stablefit.training import host

    host.prepare()
    import jax

    jax.config.update("jax_enable_compilation_cache", False)


def timed(lower: Callable[[], Any], step: Callable[[Any, int], None], steps: int) -> dict[str, Any]:
    """Seconds of a step, of lowering and of compilation, and MB beside arguments and results.

    Args:
        lower: gives a `jax.stages.Lowered`.
        step: takes what that compiles to and a number, and waits for what it gives.
        steps: how many; the first does not count.
    """
    clock = time.monotonic()
    lowered = lower()
    lower_s, clock = time.monotonic() - clock, time.monotonic()
    done = lowered.compile()
    compile_s, wall = time.monotonic() - clock, []
    for number in range(steps):
        clock = time.perf_counter()
        step(done, number)
        wall.append(time.perf_counter() - clock)
    return {
        "step_s": round(statistics.median(wall[1:]), 3),
        "lower_s": round(lower_s, 1),
        "compile_s": round(compile_s, 1),
        "temporaries_mb": done.memory_analysis().temp_size_in_bytes >> 20,
    }


def main(said: str, module: str, cases: Iterable[tuple[str, ...]], measure: Callable[..., dict[str, Any]]) -> None:
    """The command line of a benchmark: every case in a process of its own, and a row of each.

    Args:
        said: what it is for.
        module: its name, for `python -m`.
        cases: the arguments of `measure`, behind the number of steps.
    """
    parser = argparse.ArgumentParser(description=said, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--worker", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return print(json.dumps(measure(options.steps, *options.worker)))
    results = []
    for case in cases:
        worker = ["-m", module, f"--steps={options.steps}", "--worker", *case]
        said = subprocess.run([sys.executable, *worker], check=True, capture_output=True, text=True).stdout
        results.append(json.loads(said.splitlines()[-1]))
        print(results[-1], flush=True)
        if options.out:
            options.out.write_text(json.dumps({"about": machine(), "results": results}, indent=1) + "\n")
    return None
