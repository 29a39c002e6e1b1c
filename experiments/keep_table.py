"""The table of `experiments/keep.py`: single runs, their ensemble, and the average of their weights, on the test sets.

python -m experiments.keep_table WORKDIR OUT.json

WORKDIR is the study's working directory: what is packed of it has no parameters.
"""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np

from stablefit.configs import base
from stablefit.objectives import classification, metrics
from stablefit.serve import model
from stablefit.study import reading
from stablefit.training import inputs, settings


def main() -> None:
    workdir, out = map(Path, sys.argv[1:])
    found: list[dict[str, Any]] = []
    for cell in reading.load(workdir).cells:
        test = inputs.examples(settings.read({**base.get_config().to_dict(), **cell.config}))["test"]
        kept = model.load(cell.folder)
        averaged = jax.tree.map(lambda *xs: np.mean(xs, axis=0, dtype=np.float32), *kept.members)
        single = kept.outputs(test.texts_a, test.texts_b)
        soup = dataclasses.replace(kept, members=(averaged,)).outputs(test.texts_a, test.texts_b)[0]
        numbers = cell.task.kind == "regression"
        together = single.mean(0) if numbers else classification.probabilities(single).mean(0)
        name = cell.task.report_metric
        scores = [_score(cell.task.kind, name, one, test.labels) for one in single]
        stored = [row["test_last"][name] for row in cell.rows]
        assert np.allclose(scores, stored, atol=1e-3), (scores, stored)
        found.append(
            {
                "set": cell.name,
                "metric": name,
                "single mean": float(np.mean(scores)),
                "single sd": float(np.std(scores, ddof=1)),
            }
            | {"ensemble": _score(cell.task.kind, name, together, test.labels)}
            | {"average of weights": _score(cell.task.kind, name, soup, test.labels)}
        )
        print(found[-1], flush=True)
    command = "python -m experiments.keep_table WORKDIR OUT.json"
    out.write_text(json.dumps({"command": command, "rows": found}, indent=1) + "\n")


def _score(kind: Any, name: str, outputs: np.ndarray, labels: np.ndarray) -> float:
    """Of probabilities as of logits: the likeliest class counts."""
    return metrics.compute(kind, outputs, labels)[name]


if __name__ == "__main__":
    main()
