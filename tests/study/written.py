"""Studies on disk as their owners leave them, of synthetic runs."""

import json
import math
from pathlib import Path

import numpy as np

from stablefit.training.files import line_of

HOSTILE = "<script>alert(1)</script>|x"
MAJORITY = 0.53


def write_cell(
    folder: Path, mark: str, seeds=range(10), asked=None, mean=0.65, sd=0.015, failing=(), diverged=(), steps=60,
    speed=1.0, left=(), patient=(), **changes,
):  # fmt: skip
    """A run directory as `rundir` leaves it: scores around a mean, failed runs at the majority, losses that fall.

    Seeds that are left behind, or stopped by patience, end after a half of the steps.
    """
    config = {
        "task": "rte", "model": "a model", "seeds": list(asked or seeds), "learning_rate": 5e-5, "reinit_layers": 0,
        "mixout_rate": 0.0, "component_clip_norm": math.inf, "keep": "none",
    } | changes  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    metric = {"rte": "accuracy", "cola": "matthews", "stsb": "spearman"}[config["task"]]
    majority = MAJORITY if metric == "accuracy" else 0.0
    rows = []
    for seed in seeds:
        rng = np.random.default_rng([seed, *mark.encode()])
        stopped = "seeds" if seed in left else "patience" if seed in patient else ""
        end = steps // 2 if stopped else steps
        bad, lost = seed in failing, seed in diverged
        test = 0.0 if lost else MAJORITY if bad else rng.normal(mean, sd)
        validation = {} if lost else {metric: test + rng.normal(0, 0.01), "loss": 0.6}
        loss = np.full(steps, 0.69) if bad else 0.69 * np.exp(-speed * np.arange(steps) / steps)
        loss = loss + rng.normal(0, 0.02, steps)
        loss[steps // 2 :] = math.nan if lost else loss[steps // 2 :]
        lines = [{"step": i + 1, "loss": float(value), "grad_norm": 1.0} for i, value in enumerate(loss[:end])]
        (folder / f"seed_{seed}").mkdir(exist_ok=True)
        (folder / f"seed_{seed}" / "metrics.jsonl").write_text(
            "".join(map(line_of, [*lines, {"step": steps, "split": "validation", "loss": 0.6, **validation}]))
        )
        labels = np.arange(40) % 2
        wide = (40, 1) if config["task"] == "stsb" else (40, 2)
        logits = rng.normal(0, 1, wide) + (0 if bad else 1.5) * np.stack([1 - labels, labels], 1)[:, : wide[1]]
        np.savez(folder / f"seed_{seed}" / "predictions.npz", test_best=logits.astype(np.float32))
        rows.append({
            "seed": seed, "fingerprint": mark, "steps": end, "best_step": end, "validation": validation,
            "stopped": stopped, "total_steps": steps,
            "test_best": {metric: test, "loss": 0.6}, "test_last": {metric: test}, "majority": majority,
            "failed": bad or lost, "diverged": lost, "seconds": 90.0 + seed, "model": "a model", "task": config["task"],
            "layout": {"members": 1, "mesh": {"member": 1, "data": 1}}, "device": "1 x cpu",
            "versions": {"stablefit": "0.1.0", "jax": "0.10.2"},
        })  # fmt: skip
    (folder / "results.jsonl").write_text("".join(map(line_of, rows)))


def write_study(workdir: Path, cells: dict[str, dict]) -> Path:
    """A study of named cells, each with the arguments of `write_cell`."""
    marks = {name: f"{i:012x}" for i, name in enumerate(cells)}
    for name, arguments in cells.items():
        write_cell(workdir / "cells" / marks[name], marks[name], **arguments)
    (workdir / "cells.txt").write_text("".join(f"{mark}  {name}\n" for name, mark in marks.items()))
    return workdir
