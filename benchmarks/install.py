"""How much an install is: megabytes of site-packages, and CPU seconds of an import in a fresh process.

    .venv/bin/python -m benchmarks.install --rounds=9 --out=benchmarks/results/install.json

Makes an environment each for optax alone, for stablefit (jax, optax and numpy), for `stablefit[train]`, which is what
the requirements were when there was no such extra, and for all extras; versions are those of constraints.txt. Megabytes
(10^6 bytes) are of all files in site-packages after pip has compiled them, without pip itself. Imports take turns; the
first of each is not counted. Needs a package registry and about three gigabytes of disk.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

from benchmarks.step_time import machine

ROOT = Path(__file__).parent.parent
# What is installed, and which modules are imported there.
INSTALLS = {
    "optax": ("optax", ["optax"]),
    "stablefit": (f"stablefit @ {ROOT.as_uri()}", ["stablefit.methods"]),
    "stablefit[train]": (f"stablefit[train] @ {ROOT.as_uri()}", ["stablefit.methods"]),
    "all extras": (
        f"stablefit[train,report,tables,tensorboard,ray] @ {ROOT.as_uri()}",
        ["stablefit.methods", "stablefit.serve.model"],
    ),
}
_TIMED = "import time; start = time.process_time(); import {}; print(time.process_time() - start)"


def install(folder: Path, requirement: str) -> dict[str, Any]:
    """An environment with one requirement; how much it is."""
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "-c", str(ROOT / "constraints.txt"), requirement], check=True, cwd=folder)
    (site,) = folder.glob("lib/python*/site-packages")
    return {"mb": megabytes(site), "packages": len(list(site.glob("*.dist-info")))}


def megabytes(folder: Path) -> int:
    """10^6 bytes of all files below a folder, rounded."""
    return round(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6)


def import_seconds(python: Path, module: str) -> float:
    """CPU seconds of one import, the first thing that a fresh process does."""
    done = subprocess.run(
        [python, "-c", _TIMED.format(module)], check=True, capture_output=True, text=True, cwd=python.parent
    )
    return float(done.stdout)


def measure(rounds: int) -> dict[str, Any]:
    """Each install, and its imports in turns."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        for i, (of, (requirement, _)) in enumerate(INSTALLS.items()):
            found[of] = install(Path(name) / str(i), requirement)
        taken: dict[tuple[str, str], list[float]] = {}
        for _ in range(rounds + 1):
            for i, (of, (_, modules)) in enumerate(INSTALLS.items()):
                for module in modules:
                    seconds = import_seconds(Path(name) / str(i) / "bin" / "python", module)
                    taken.setdefault((of, module), []).append(seconds)
    for (of, module), seconds in taken.items():
        found[of].setdefault("import_cpu_s", {})[module] = summary(seconds[1:])
    return found


def summary(seconds: list[float]) -> dict[str, float]:
    """
    >>> summary([0.5, 0.25, 1.0])
    {'median': 0.5, 'least': 0.25, 'most': 1.0}
    """
    found = {"median": statistics.median(seconds), "least": min(seconds), "most": max(seconds)}
    return {name: round(value, 2) for name, value in found.items()}


def table(found: dict[str, Any]) -> list[str]:
    """The rows of docs/transforms.md."""
    rows = ["| installed | packages | MB | import | CPU s |", "|---|---:|---:|---|---:|"]
    for of in INSTALLS:
        one = found[of]
        name = of if " " in of else f"`{of}`"
        for module, seconds in one["import_cpu_s"].items():
            rows.append(f"| {name} | {one['packages']} | {one['mb']} | `{module}` | {seconds['median']:.2f} |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    found = measure(options.rounds)
    about = {"machine": machine(), "rounds": options.rounds, **found}
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(about, indent=2) + "\n")
    print("\n".join(table(found)))


if __name__ == "__main__":
    main()
