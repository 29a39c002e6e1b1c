"""The table of `experiments/recipe.py`: each recipe beside the frozen encoder and a bag of words, in the same folds.

    python -m experiments.recipe_table WORKDIR OUT.json

Of each set: the score of the rows' predictions out of fold, by the parameters of the last step and by those that were
best on validation, and the interval of the difference from the best of what costs nothing (bootstrap over rows). Of
classes also how far the last step's probabilities are from what happens: the expected calibration error, what it would
be if they were right, and the log loss; the same with the temperature that was fitted to the other folds; and the
frozen encoder's. WORKDIR is the study's working directory: what is packed of it has classes and no probabilities.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from stablefit.configs import base
from stablefit.fit import baselines, calibration, temperature
from stablefit.objectives import classification
from stablefit.study import reading
from stablefit.training import inputs, job, probe, settings


def main() -> None:
    workdir, out = map(Path, sys.argv[1:])
    found: list[dict[str, Any]] = []
    cheap: dict[str, dict[str, np.ndarray]] = {}
    for cell in reading.load(workdir).cells:
        name, recipe = cell.name.split(", ")
        loaded = job.load(
            settings.read(
                {**base.get_config().to_dict(), **cell.config, "pooling": "mean", "head_start": "probe", "epochs": 1.0}
            )
        )
        examples = inputs.examples(loaded.settings)["train"]
        held_out = [part["test"] for part in loaded.objective.chosen]
        if name not in cheap:
            cheap[name] = baselines.predictions(loaded.task, examples, probe.frozen_features(loaded), held_out)
        ours = {
            step: _said(cell.folder, len(cell.rows), examples.ids, loaded.task.n_outputs, step)
            for step in ("last", "best")
        }
        scores = {f"ours, {step} step": _score(loaded.task.kind, one, examples.labels) for step, one in ours.items()}
        plain = {b: _score(loaded.task.kind, _columns(one), examples.labels) for b, one in cheap[name].items()}
        best = max(plain, key=lambda b: plain[b])
        pair = (ours["last"], _columns(cheap[name][best]))
        found.append(
            {"set": name, "recipe": recipe, "rows": len(examples), **scores, **plain, "best baseline": best}
            | {"difference": scores["ours, last step"] - plain[best]}
            | {"interval": _interval(loaded.task.kind, *pair, examples.labels)}
            | _sureness(loaded.task.kind, ours["last"], cheap[name]["frozen"], examples.labels, held_out)
            | {"minutes": sum(row["seconds"] for row in cell.rows) / 60}
        )
    out.write_text(
        json.dumps({"command": "python -m experiments.recipe_table WORKDIR OUT.json", "rows": found}, indent=1) + "\n"
    )
    for row in found:
        print(" ".join(f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values()))


def _columns(answers: np.ndarray) -> np.ndarray:
    return answers.reshape(len(answers), -1)


def _said(folder: Path, n: int, ids: list[str], width: int, step: str) -> np.ndarray:
    place = {name: i for i, name in enumerate(ids)}
    answers = np.full((len(ids), width), np.nan)
    for seed in range(n):
        with np.load(folder / f"seed_{seed}" / "predictions.npz", allow_pickle=False) as stored:
            answers[[place[name] for name in stored["test_ids"].tolist()]] = stored[f"test_{step}"]
    assert np.isfinite(answers).all()
    return answers


def _score(kind: str, answers: np.ndarray, labels: np.ndarray) -> float:
    """Accuracy, or Spearman's correlation of numbers."""
    if kind == "regression":
        from stablefit.objectives import metrics

        return metrics.spearman(answers[:, 0], labels)
    return float((answers.argmax(1) == labels).mean())


def _sureness(
    kind: str, logits: np.ndarray, frozen: np.ndarray, labels: np.ndarray, held_out: list[np.ndarray]
) -> dict[str, float]:
    if kind != "classification":
        return {}
    tempered, found = temperature.cross_fitted(logits[None], labels, kind, held_out)
    assert found is not None
    told: dict[str, float] = {"temperature": found.value}
    ways = {"": classification.probabilities(logits), "tempered ": tempered[0], "frozen ": frozen}
    for way, said in ways.items():
        weighed = calibration.reliability(said, labels)
        told |= {f"{way}ece": weighed.ece, f"{way}ece if right": weighed.ece_if_calibrated}
        told |= {f"{way}log loss": temperature.log_loss(said, labels)}
    return told


def _interval(kind: str, ours: np.ndarray, theirs: np.ndarray, labels: np.ndarray) -> list[float]:
    """95 % percentile interval of the difference over 2,000 resamples of the rows."""
    draws = np.random.default_rng(0).integers(0, len(labels), (2000, len(labels)))
    found = [_score(kind, ours[i], labels[i]) - _score(kind, theirs[i], labels[i]) for i in draws]
    return [float(x) for x in np.percentile(found, [2.5, 97.5])]


if __name__ == "__main__":
    main()
