"""Gives a reader a million files that nobody wrote: python -m tests.fuzz TARGET [--runs=N] [--seconds=N]

Needs atheris, which watches what code each input reaches and keeps those that reach new code. What it keeps goes into
build/fuzz/TARGET, and is where the next call goes on from; the small files under tests/fuzz/corpus stay in the tree.
An input that is at fault is written to build/fuzz/TARGET-crash-*, and the traceback is printed.
"""

import argparse
import importlib
import sys
from pathlib import Path

HERE = Path(__file__).parent
KEPT = Path("build/fuzz")
MISSING = "atheris is not installed: pip install 'atheris>=3.1' (wheels for Linux, Python 3.11 to 3.14)"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    names = sorted(folder.name for folder in (HERE / "corpus").iterdir())
    parser.add_argument("target", choices=names, metavar="TARGET", help=", ".join(names))
    parser.add_argument("--runs", type=int, default=1_000_000, help="how many inputs; default a million")
    parser.add_argument("--seconds", type=int, default=0, help="stop after so long; 0: not")
    asked = parser.parse_args(argv)
    try:
        atheris = importlib.import_module("atheris")
    except ImportError:
        print(MISSING, file=sys.stderr)
        return 2
    with atheris.instrument_imports(include=["stablefit"]):
        from tests.fuzz import targets
    kept = KEPT / asked.target
    kept.mkdir(parents=True, exist_ok=True)
    options = [
        *(f"-runs={asked.runs}", f"-max_total_time={asked.seconds}", f"-artifact_prefix={KEPT}/{asked.target}-"),
        *("-timeout=60", "-rss_limit_mb=0", "-max_len=4096", "-print_final_stats=1", "-verbosity=1"),
        *(str(kept), str(HERE / "corpus" / asked.target)),
    ]
    atheris.Setup([sys.argv[0], *options], lambda data: targets.check(asked.target, data), enable_python_coverage=True)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
