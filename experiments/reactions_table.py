"""The table of `experiments/reactions.py`: R2 on the test reactions, mean and standard deviation over the orders.

    python -m experiments.reactions_table WORKDIR OUT.json

WORKDIR may be what is packed of it, experiments/results/reactions.
Published: Schwaller et al., Mach. Learn.: Sci. Technol. 2021, read off their figure; the forest on computed descriptors
is Ahneman et al., Science 2018. Theirs are of all other reactions, ours of 500 of them.
"""

import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

from stablefit.objectives import metrics
from stablefit.study import reading

PUBLISHED = {98: {"fine-tuned": [0.45, 0.05], "forest": [0.59]}, 197: {"fine-tuned": [0.61, 0.04], "forest": [0.68]}}


def ensemble(cell: reading.Cell) -> dict[str, float]:
    """R2 of single seeds and of the mean of their answers, on the test reactions of one order."""
    said = [one for row in cell.rows if (one := cell.files.said(row["seed"], cell.task.kind)) is not None]
    answers, right = np.stack([one.said for one in said]), said[0].labels
    singles = [metrics.r2(answer, right) for answer in answers]
    return {
        "seeds": len(said),
        "r2 of a seed": statistics.mean(singles),
        "sd": statistics.stdev(singles),
        "r2 of their mean": metrics.r2(answers.mean(0), right),
    }


def main() -> None:
    workdir, out = map(Path, sys.argv[1:])
    found: dict[tuple[int, str], dict[str, float]] = defaultdict(dict)
    ensembles: dict[str, dict[str, float]] = {}
    for cell in reading.load(workdir).cells:
        n, order, setting = cell.name.split(", ", 2)
        for row in cell.rows:
            if row["seed"] == 0:
                found[int(n), setting][order] = row["test_last"]["r2"]
        if len(cell.rows) > 1:
            ensembles[cell.name] = ensemble(cell)
    for name, one in ensembles.items():
        print(name, one)
    rows = []
    for (n, setting), scores in sorted(found.items()):
        values = list(scores.values())
        spread = statistics.stdev(values) if len(values) > 1 else None
        rows.append({"n": n, "setting": setting, "orders": len(values), "r2": statistics.mean(values), "sd": spread})
        rows[-1] |= {"published": PUBLISHED[n], "scores": scores}
        print({key: value for key, value in rows[-1].items() if key != "scores"})
    command = "python -m experiments.reactions_table WORKDIR OUT.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"command": command, "rows": rows, "ensembles": ensembles}, indent=1) + "\n")


if __name__ == "__main__":
    main()
