"""The commands that faults are set against, and everything that they leave, to be compared bit for bit."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from stablefit import cli, grid, main
from stablefit.errors import InputError
from stablefit.paths import names
from stablefit.training import checkpoints, manifest
from tests import tiny
from tests.faults.children import Main

REFUSED = "refused"  # in place of a digest: who reads it is told that it has changed
# Of a row, what is of the clock.
_TIMES = ("seconds",)


class Command(NamedTuple):
    """A command on a workdir that is to be given."""

    name: str
    main: Main
    argv: tuple[str, ...]
    flag: str = "--workdir"

    @property
    def place(self) -> str:
        return self.name.replace(" ", "_")

    def at(self, workdir: Path) -> list[str]:
        return [*self.argv, f"{self.flag}={workdir}"]


def commands(root: Path, full: bool) -> list[Command]:
    """Two seeds one by one, a cohort, seeds that are compared, a tagger in folds, a grid, in full a fit; all tiny."""
    tiny.write_model(root / "model", blocks=1)
    tiny.write_rte(root)
    tiny.write_tagging(root / "tags")
    common = {"checkpoint_minutes": 0.0, "keep": "best_and_last"}
    configs = {
        "two seeds": {"seeds": (0, 1), "evaluations": 3},
        "a cohort": {"seeds": (0, 1, 2), "cohort_size": 3},
        "compared seeds": {"seeds": (0, 1, 2), "evaluations": 3, "stop_seeds_at": 0.3, "keep_seeds": 0.3},
        "a tagger": {"seeds": (0, 1), "task": "tagging", "data_dir": str(root / "tags"), "folds": 2},
    }
    found = []
    for name, changes in configs.items():
        file = root / "configs" / f"{name.replace(' ', '_')}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(
            "from pathlib import Path\nfrom tests import tiny\n\n\ndef get_config():\n"
            f"    return tiny.config(Path({str(root)!r}), **{common | changes!r})\n"
        )
        found.append(Command(name, main.main, (f"--config={file}",)))
    sweep = root / "configs" / "sweep.py"
    sweep.write_text(
        f"def sweep(add):\n    for rate in (0.01, 0.02):\n"
        f"        add(config={str(root / 'configs' / 'two_seeds.py')!r}, name=f'at {{rate}}', learning_rate=rate)\n"
    )
    found.append(Command("a grid", grid.main, (f"--sweep={sweep}",)))
    if full:
        tiny.write_own(root / "own")
        given = (str(root / "own" / "train.csv"), "--text=text", "--label=label", f"--model={root / 'model'}")
        few = ("--steps=3", "--folds=2", "--repeats=2")
        found.append(Command("a fit", cli.main, ("fit", *given, *few), "--out"))
    return found


def left(workdir: Path) -> dict[str, str]:
    """What a command has left of its runs, each as a digest of its bits: rows, logs, parameters, predictions."""
    found: dict[str, str] = {}
    for ledger in sorted(workdir.rglob("results.jsonl")):
        rows = [json.loads(line) for line in ledger.read_text().splitlines()]
        place = ledger.parent.relative_to(workdir)
        kept = [{name: value for name, value in row.items() if name not in _TIMES} for row in rows]
        found[f"{place}: rows"] = _digest(sorted(json.dumps(row, sort_keys=True) for row in kept))
        for folder in sorted(ledger.parent.glob("seed_*")):
            name = f"{place}/{folder.name}"
            found[f"{name}: log"] = _digest((folder / "metrics.jsonl").read_text())
            for kind in ("best", "last"):
                if (folder / kind).is_dir():
                    found[f"{name}: {kind}"] = _params(folder / kind)
            said = folder / "predictions.npz"
            if said.is_file() or manifest.place(said).is_file():
                found[f"{name}: said"] = _predictions(said)
    for file in (*workdir.glob("out_of_fold.csv"), *sorted(workdir.glob("model/members/*"))):  # of a fit
        found[str(file.relative_to(workdir))] = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    return found


def _predictions(file: Path) -> str:
    if manifest.damage(file):
        return REFUSED
    with np.load(file) as stored:
        return _digest(_arrays({key: stored[key] for key in stored.files}))


def _params(save: Path) -> str:
    try:
        return _digest(_arrays(checkpoints.load_params(save)))
    except InputError:
        return REFUSED


def _arrays(tree: Any) -> list[tuple[str, str, tuple[int, ...], bytes]]:
    leaves = zip(names(tree), (np.asarray(leaf) for leaf in jax.tree.leaves(tree)), strict=True)
    return sorted((name, str(leaf.dtype), leaf.shape, leaf.tobytes()) for name, leaf in leaves)


def _digest(value: Any) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


def main_of_left(argv: Sequence[str]) -> int:
    """`left` as a command, to be called in a child: JAX must not start in the process that forks."""
    workdir, file = map(Path, argv)
    file.write_text(json.dumps(left(workdir)))
    return 0


def differences(one: dict[str, str], other: dict[str, str]) -> list[str]:
    """What is not the same, bit for bit."""
    return [name for name in sorted(one | other) if one.get(name) != other.get(name)]
