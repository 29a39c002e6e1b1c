"""How many rows should a page list as probably wrong? One label in twenty is made wrong, and the lists are compared.

    STABLEFIT_DATA=DIR python -m experiments.label_flips measure OUT.json
    STABLEFIT_DATA=DIR python -m experiments.label_flips write SET FILE.csv
    stablefit fit FILE.csv --out=FIT --text=text --label=label --repeats=1
    STABLEFIT_DATA=DIR python -m experiments.label_flips measure OUT.json FILE.csv=FIT ...

The sets are those of experiments/recipe.py that have classes. The probabilities are those of logistic regression on the
frozen encoder, out of fold, with their temperature; of several draws of the wrong labels. A fit of a file with such
labels is measured in the same way, by its out_of_fold.csv. Where cleanlab is installed, its other filters are measured
too. Labels that were wrong before count as right.
"""

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from experiments import recipe
from stablefit.configs import own
from stablefit.fit import label_issues, temperature
from stablefit.training import inputs, job, probe, settings
from stablefit.training.job import Job

SHARE = 0.05
DRAWS = {"reviews": 4, "sst2": 4, "ag": 4, "mrpc": 4, "clinc5": 1}
TOP = 20
FACTORS = (5.0, 10.0, 20.0)
FILTERS = ("prune_by_noise_rate", "prune_by_class", "both")


def main() -> None:
    what, place, *others = sys.argv[1:]
    if what == "write":
        _write(place, Path(others[0]))
        return
    rows = []
    for name, draws in DRAWS.items():
        the_job = _job(name)
        found = [_measured(*_frozen(the_job, draw)) for draw in range(draws)]
        rows.append({"set": name, "models": "frozen encoder", "draws": draws, **_mean(found)})
        print(json.dumps(rows[-1]), flush=True)
    for other in others:
        file, fit = map(Path, other.split("="))
        rows.append({"set": file.stem, "models": "stablefit fit", "draws": 1, **_measured(*_fitted(file, fit))})
        print(json.dumps(rows[-1]), flush=True)
    command = "python -m experiments.label_flips measure OUT.json [FILE.csv=FIT ...]"
    Path(place).write_text(json.dumps({"command": command, "share": SHARE, "rows": rows}, indent=1) + "\n")


def _job(name: str) -> Job:
    values = {**recipe.RECIPES["probe at 1e-4"], **recipe.SETS[name]}
    values.pop("config")
    return job.load(
        settings.read(own.get_config().to_dict() | values | {"folds": 5, "seeds": tuple(range(5)), "max_length": 128})
    )


def flipped(labels: np.ndarray, n_classes: int, draw: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels of which one in twenty is another, each of the others alike; and which are."""
    random = np.random.default_rng(draw)
    n = round(SHARE * len(labels))
    rows = random.choice(len(labels), n, replace=False)
    given = labels.copy()
    given[rows] = (given[rows] + random.integers(1, n_classes, n)) % n_classes
    return given, given != labels


def _frozen(the_job: Job, draw: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities [N, C], labels and which of them are wrong."""
    labels, n = inputs.examples(the_job.settings)["train"].labels, the_job.task.n_outputs
    given, wrong = flipped(labels, n, draw)
    features = probe.frozen_features(the_job)
    held_out = [part["test"] for part in the_job.objective.chosen]
    logits = np.zeros((len(labels), n))
    for rows in held_out:
        rest = np.setdiff1d(np.arange(len(labels)), rows)
        head = probe.linear_head(features[rest], given[rest], "classification", n)
        logits[rows] = features[rows] @ head["kernel"] + head["bias"]
    tempered, _ = temperature.cross_fitted(logits[None], given, "classification", held_out)
    return tempered[0], given, wrong


def _fitted(file: Path, fit: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    with file.open(encoding="utf-8", newline="") as stream:
        wrong = np.array([row["label"] != row["was"] for row in csv.DictReader(stream)])
    with (fit / "out_of_fold.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    names = [name.removeprefix("p_") for name in rows[0] if name.startswith("p_")]
    p = np.array([[float(row[f"p_{name}"]) for name in names] for row in rows])
    return p, np.array([names.index(row["given"]) for row in rows]), wrong


def _write(name: str, file: Path) -> None:
    """A set as a table with wrong labels, and what they were."""
    the_job = _job(name)
    examples, names = inputs.examples(the_job.settings)["train"], the_job.task.labels
    given, _ = flipped(examples.labels, len(names), 0)
    with file.open("x", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "label", "was"])
        writer.writerows(
            [text, names[now], names[was]]
            for text, now, was in zip(examples.texts_a, given, examples.labels, strict=True)
        )


def _measured(p: np.ndarray, given: np.ndarray, wrong: np.ndarray) -> dict[str, Any]:
    """Of each way to choose rows: how many, the share of these that are wrong, and of the wrong that are chosen."""
    own_p, most = p[np.arange(len(p)), given], p.max(-1)
    doubted = np.array([one.row for one in label_issues.of_classes(p, given)], int)
    chosen = {"another is likelier": np.flatnonzero(p.argmax(-1) != given), "confident learning": doubted}
    for factor in FACTORS:
        chosen[f"and {factor:g} times likelier"] = doubted[most[doubted] >= factor * own_p[doubted]]
    chosen |= _cleanlabs(p, given)
    found: dict[str, Any] = {"rows": len(p), "right": float((p.argmax(-1) == given).mean()), "wrong": int(wrong.sum())}
    for way, rows in chosen.items():
        share = float(wrong[rows].mean()) if len(rows) else 0.0
        found[way] = [float(len(rows)), share, float(wrong[rows].sum() / wrong.sum())]
    for way, score in {"own": own_p, "margin": own_p - most}.items():
        found[f"first {TOP} by {way}"] = float(wrong[np.argsort(score, kind="stable")[:TOP]].mean())
    return found


def _cleanlabs(p: np.ndarray, given: np.ndarray) -> dict[str, np.ndarray]:
    try:
        from cleanlab.filter import find_label_issues
    except ImportError:
        return {}
    return {f"cleanlab {by}": np.flatnonzero(find_label_issues(given, p, filter_by=by, n_jobs=1)) for by in FILTERS}


def _mean(found: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: np.mean([one[name] for one in found], axis=0).round(3).tolist() for name in found[0]}


if __name__ == "__main__":
    main()
