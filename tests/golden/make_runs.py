"""Write runs.json: what three tiny runs leave behind, which `tests/training/test_golden_run.py` compares with.

    python tests/golden/make_runs.py

It says what stablefit did when it was made, so it is made anew only where a change of results is meant.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import jax

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from stablefit.training import job, loop, progress, rundir, settings  # noqa: E402
from tests import tiny  # noqa: E402

KEPT = ("steps", "best_step", "validation", "test_best", "test_last", "failed")
COMMON: dict[str, Any] = {"batch_size": 4, "evaluations": 4, "learning_rate": 1e-2, "keep": "best_and_last"}
RUNS: dict[str, dict[str, Any]] = {
    "plain": {},  # Adam, clipping, warm-up, dropout
    "methods": {
        "schedule": "bert",
        "bias_correction": "none",
        "eps": 1e-4,
        "weight_decay": 0.5,
        "init_decay": 0.5,
        "layer_decay": 0.8,
        "lr_multipliers": "head/.*=3",
        "component_clip_norm": 0.5,
        "reinit_layers": 1,
        "mixout_rate": 0.3,
        "dropout": 0.0,
    },
    "tagging": {"task": "tagging", "folds": 3, "epochs": 2.0, "lr_multipliers": "crf/.*=10", "eps": 1e-4},
}


def run(name: str, place: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Trains one seed of a run: the lines of its metrics file, and its row without times and versions.

    Args:
        name: of `RUNS`.
        place: a folder to which model, data and the run are written; the run to `place/run`.
    """
    tiny.write_model(place / "model", blocks=1)
    tiny.write_rte(place)
    changes = COMMON | RUNS[name]
    if changes.get("task") == "tagging":
        changes["data_dir"] = str(tiny.write_tagging(place / "tags"))
    config = settings.read(tiny.config(place, **changes))
    with rundir.RunDirectory(place / "run", config) as directory:
        (row,) = loop.run(job.load(config), directory, progress.Progress(0, quiet=True))
    return rundir.read_lines(place / "run" / "seed_0" / "metrics.jsonl"), {name: row[name] for name in KEPT}


def everything() -> dict[str, Any]:
    """The contents of the file."""
    made = {}
    for name in RUNS:
        with tempfile.TemporaryDirectory() as place:
            metrics, row = run(name, Path(place))
        made[name] = {"metrics": metrics, "row": row}
    return made


if __name__ == "__main__":
    jax.config.update("jax_disable_most_optimizations", False)
    path = Path(__file__).with_name("runs.json")
    path.write_text(json.dumps(everything(), indent=1) + "\n")
    print(f"{path}: {path.stat().st_size} bytes, jax {jax.__version__}")
