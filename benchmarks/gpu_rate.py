"""The learning rate of a study's cells whose runs have the best mean score on validation, for `gpu_session.sh`.

python benchmarks/gpu_rate.py WORKDIR METRIC
"""

import json
import statistics
import sys
from pathlib import Path


def best(workdir: Path, metric: str) -> float:
    """Of all cells that have results."""
    scores: dict[float, list[float]] = {}
    for results in workdir.glob("cells/*/results.jsonl"):
        rate = json.loads((results.parent / "config.json").read_text())["learning_rate"]
        for line in results.read_text().splitlines():
            scores.setdefault(rate, []).append(json.loads(line)["validation"][metric])
    for rate in sorted(scores):
        print(f"{workdir.name}: {rate:g}: {statistics.mean(scores[rate]):.4f} of {len(scores[rate])}", file=sys.stderr)
    return max(scores, key=lambda rate: statistics.mean(scores[rate]))


if __name__ == "__main__":
    print(best(Path(sys.argv[1]), sys.argv[2]))
