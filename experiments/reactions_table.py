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

from stablefit.study import reading

PUBLISHED = {98: {"fine-tuned": [0.45, 0.05], "forest": [0.59]}, 197: {"fine-tuned": [0.61, 0.04], "forest": [0.68]}}


def main() -> None:
    workdir, out = map(Path, sys.argv[1:])
    found: dict[tuple[int, str], dict[str, float]] = defaultdict(dict)
    for cell in reading.load(workdir).cells:
        n, order, setting = cell.name.split(", ", 2)
        for row in cell.rows:
            found[int(n), setting][order] = row["test_last"]["r2"]
    rows = []
    for (n, setting), scores in sorted(found.items()):
        values = list(scores.values())
        spread = statistics.stdev(values) if len(values) > 1 else None
        rows.append({"n": n, "setting": setting, "orders": len(values), "r2": statistics.mean(values), "sd": spread})
        rows[-1] |= {"published": PUBLISHED[n], "scores": scores}
        print({key: value for key, value in rows[-1].items() if key != "scores"})
    command = "python -m experiments.reactions_table WORKDIR OUT.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"command": command, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
