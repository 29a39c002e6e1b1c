"""Break the code in one place after another, and see whether the tests next to that place notice.

    python tests/mutants/run.py                 # all; exit code 1 if a mutant survives
    python tests/mutants/run.py recipe methods  # of some lists
    python tests/mutants/run.py --check         # only whether every text is in its file, once, and the tests exist

A mutant is an entry of a TOML file beside this one: what is wrong, the file, texts and what takes their place, the test
files next to it. The repository is copied into a temporary folder, and only the copy is changed. What is done is kept
in `.cache/mutants.jsonl` and not done again while mutant, file and tests are as they were; so a run that was
interrupted goes on. Before a mutant counts as killed its tests have passed on the code as it is.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LEFT_OUT = (".*", "__pycache__", "runs", "build", "dist")
TIMEOUT = 1200  # seconds; a test that takes so long does not end
# Half of what tests of a file cost is to load these, so a server does it once, and every run of tests is a fork of it.
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    ["jax", "flax.linen", "optax", "orbax.checkpoint", "scipy.stats", "sklearn.metrics", "pytest"]
)
PASSED, FAILED, INTERRUPTED, BROKEN = 0, 1, 2, 70  # pytest's exit codes, and one that it does not have


class Mutant(NamedTuple):
    """One change that tests must notice."""

    area: str  # the list that it is in
    what: str
    file: str
    edits: tuple[tuple[str, str], ...]  # text, which must be in the file once -> what takes its place
    tests: tuple[str, ...]

    def broken(self, text: str) -> str:
        """The file's text with the change.

        Raises:
            ValueError: a text is not in the file, or more than once.
        """
        for old, new in self.edits:
            if text.count(old) != 1:
                found = "not found" if old not in text else f"found {text.count(old)} times"
                raise ValueError(f"text {found} in {self.file}: {old.strip().splitlines()[0]!r}")
            text = text.replace(old, new)
        return text


def read(areas: Sequence[str] = (), folder: Path = HERE) -> list[Mutant]:
    """The mutants of the lists, of all without names.

    Raises:
        ValueError: there is no such list.
    """
    known = {file.stem: file for file in sorted(folder.glob("*.toml"))}
    if missing := [area for area in areas if area not in known]:
        raise ValueError(f"no list {missing[0]!r}; there are {', '.join(known)}")
    mutants = []
    for area in areas or known:
        listed = tomllib.loads(known[area].read_text())
        for one in listed["mutant"]:
            tests = tuple(one.get("tests", listed.get("tests")))
            edits = tuple((old, new) for old, new in one["edits"])
            mutants.append(Mutant(area, one["what"], one.get("file", listed.get("file")), edits, tests))
    return mutants


class Workshop:
    """A copy of the repository in which one file is broken at a time.

    Args:
        root: of the repository.
        place: the empty folder of the copy.
    """

    def __init__(self, root: Path, place: Path):
        self.place = place / "copy"
        shutil.copytree(root, self.place, ignore=shutil.ignore_patterns(*LEFT_OUT))
        (root / ".cache").mkdir(exist_ok=True)
        (self.place / ".cache").symlink_to(root / ".cache")  # compiled programs
        data = os.environ.get("STABLEFIT_DATA", str(root.parent / "shared" / "data"))
        self.environment = {"PYTHONPATH": str(self.place), "STABLEFIT_DATA": str(Path(data).resolve())}

    def test(self, tests: Sequence[str]) -> int | None:
        """pytest's exit code; None: it took too long."""
        process = SERVER.Process(target=_pytest, args=(self.place, self.environment, list(tests)))
        process.start()
        try:
            process.join(TIMEOUT)
            return process.exitcode
        finally:  # also when this process is asked to end
            if process.pid and process.is_alive():
                os.killpg(process.pid, signal.SIGKILL)
                process.join()

    def judge(self, mutant: Mutant) -> str:
        """`killed`, `survived`, or what is wrong with the mutant, which begins with `error`."""
        file = self.place / mutant.file
        text = file.read_text()
        try:
            file.write_text(mutant.broken(text))
        except ValueError as error:
            return f"error: {error}"
        try:
            code = self.test(mutant.tests)
        finally:
            file.write_text(text)
        if code in (FAILED, INTERRUPTED, None):
            return "killed"
        return "survived" if code == PASSED else f"error: pytest ended with {code}"

    def sound(self, tests: Sequence[str]) -> bool:
        """Whether tests pass on the code as it is."""
        return self.test(tests) == PASSED

    def mark(self, *names: str) -> str:
        """A digest of files of the copy."""
        digest = hashlib.sha256()
        for name in names:
            digest.update(name.encode() + b"\0" + (self.place / name.split("::")[0]).read_bytes() + b"\0")
        return digest.hexdigest()[:16]


def _pytest(place: Path, environment: dict[str, str], tests: list[str]) -> None:
    """Runs tests in a copy of the repository, in a process of its own; the exit code is pytest's."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    os.environ.update(environment)
    os.chdir(place)
    sys.dont_write_bytecode = True
    sys.path[0] = str(place)  # not the folder of this file
    import pytest

    code = BROKEN  # unless pytest comes to an end; the exit code of an exception would be that of a failed test
    try:
        code = int(pytest.main(["-x", "-q", "-n", "0", "-p", "no:cacheprovider", *tests]))
    finally:
        os._exit(code)


def done_before(ledger: Path) -> dict[str, dict[str, Any]]:
    """The rows of former runs, by what they are of."""
    lines = ledger.read_text().splitlines() if ledger.is_file() else []
    return {row["key"]: row for row in map(json.loads, lines)}


def go_through(mutants: Sequence[Mutant], workshop: Workshop, ledger: Path) -> Iterator[dict[str, Any]]:
    """A row for each mutant, from the ledger where it has one."""
    before = done_before(ledger)

    def kept(key: str, make: Any, **row: Any) -> dict[str, Any]:
        if key not in before:
            clock = time.monotonic()
            before[key] = {"key": key, **row, "result": make(), "seconds": round(time.monotonic() - clock, 1)}
            if before[key]["result"]:
                with ledger.open("a") as file:
                    file.write(json.dumps(before[key]) + "\n")
        return before[key]

    files = [str(file.relative_to(workshop.place)) for file in sorted(workshop.place.glob("stablefit/**/*.py"))]
    for mutant in mutants:
        tests = list(mutant.tests)
        code = workshop.mark(*files, *tests)
        row = {"area": mutant.area, "what": mutant.what, "tests": tests}
        fine = kept(f"{code} {tests}", lambda tests=tests: workshop.sound(tests), tests=tests)["result"]
        if not fine:
            yield {**row, "result": "error: its tests fail on the code as it is", "seconds": 0.0}
            continue
        key = f"{workshop.mark(mutant.file, *tests)} {mutant.edits}"
        yield kept(key, lambda mutant=mutant: workshop.judge(mutant), **row)


def summary(rows: Sequence[dict[str, Any]]) -> str:
    """A line for each list, and the names of what survived or is in error."""
    lines = [f"{'list':16} {'mutants':>8} {'killed':>8} {'survived':>9}"]
    for area in [*dict.fromkeys(row["area"] for row in rows), "all"]:
        own = [row["result"] for row in rows if area in (row["area"], "all")]
        lines.append(f"{area:16} {len(own):8} {own.count('killed'):8} {own.count('survived'):9}")
    lines += [f"{row['result']}: {row['area']}: {row['what']}" for row in rows if row["result"] != "killed"]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Break the code in one place after another.")
    parser.add_argument("areas", nargs="*", help="lists to go through; all without")
    parser.add_argument(
        "--check", action="store_true", help="only whether every text is in its file, once, and tests are there"
    )
    parser.add_argument("--fresh", action="store_true", help="nothing from former runs")
    parser.add_argument("--out", type=Path, help="a file for the rows, one JSON line each")
    chosen = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    mutants = read(chosen.areas)
    faults = []
    for mutant in mutants:
        try:
            mutant.broken((ROOT / mutant.file).read_text())
        except (ValueError, OSError) as error:
            faults.append(f"{mutant.area}: {mutant.what}: {error}")
        missing = [name for name in mutant.tests if not (ROOT / name.split("::")[0]).is_file()]
        faults += [f"{mutant.area}: {mutant.what}: no test file {name}" for name in missing]
    if chosen.check or faults:
        print("\n".join([*faults, f"{len(mutants)} mutants, {len(faults)} faults"]))
        return 1 if faults else 0
    ledger = ROOT / ".cache" / "mutants.jsonl"
    if chosen.fresh:
        ledger.unlink(missing_ok=True)
    rows = []
    with tempfile.TemporaryDirectory() as place:
        workshop = Workshop(ROOT, Path(place))
        for row in go_through(mutants, workshop, ledger):
            rows.append(row)
            told = f"{row['area']}: {row['what']}: {row['result']}"
            print(f"{len(rows):3}/{len(mutants)} {row['seconds']:6.1f} s  {told}", flush=True)
    if chosen.out:
        told = [{name: row[name] for name in ("area", "what", "tests", "result", "seconds")} for row in rows]
        chosen.out.write_text("".join(json.dumps(row) + "\n" for row in told))
    print(summary(rows))
    return 1 if any(row["result"] != "killed" for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
