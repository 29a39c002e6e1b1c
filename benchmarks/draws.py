"""What a study with several training sets decides, and how often it is wrong, by simulation.

    python -m benchmarks.draws --studies=500 --out=benchmarks/results/draws.json

`elsewhere`: the verdict on training sets like those of the study, by the means of each draw. A score is a draw's effect
(SD 1), a seed's (SD .5), what a setting makes of a draw (SD `interaction`), and a run's own (SD .5). `among all` is the
same test without pairs of draws. `intervals`: how often the 95 % interval of a component's SD holds the true one.
Beside each rate r of S studies stands its Monte Carlo error, sqrt(r (1 - r) / S).
"""

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from stablefit import factors
from stablefit.study import comparison, variance
from stablefit.study.statistics import Runs
from stablefit.study.verdicts import ALPHA

RESAMPLES = 499
SEEDS = 5


def elsewhere(studies: int) -> list[dict[str, Any]]:
    """Level (no gain) and power (of the one setting with a gain) over draws."""
    rows = []
    for draws, settings in ((5, 2), (10, 2), (5, 7)):
        for interaction, gain in ((0.0, 0.0), (0.5, 0.0), (0.3, 0.5), (0.3, 1.0)):
            row: dict[str, Any] = {"draws": draws, "settings": settings, "interaction": interaction, "gain": gain}
            for name, limit in (("paired", comparison.pairing_limit(ALPHA)), ("among all", 0.0)):
                rng = np.random.default_rng(0)
                found = [_found(rng, draws, settings, interaction, gain, limit) for _ in range(studies)]
                row[name] = _rate(found)
            rows.append(row)
            print(row, flush=True)
    return rows


def _found(rng: np.random.Generator, draws: int, settings: int, interaction: float, gain: float, limit: float) -> bool:
    """Whether a verdict is given: on any setting, or with a gain on the one that has it."""
    scores = rng.normal(0, 1, (1, draws, 1)) + rng.normal(0, 0.5, (1, 1, SEEDS))
    scores = scores + interaction * rng.normal(size=(settings + 1, draws, 1))
    scores = scores + 0.5 * rng.normal(size=(settings + 1, draws, SEEDS))
    scores[1] += gain
    runs = [Runs(means, np.zeros(draws, bool), range(draws)) for means in scores.mean(2)]
    others = {str(i): one for i, one in enumerate(runs[1:])}
    said = comparison.compare(runs[0], others, ALPHA, n_resamples=RESAMPLES, within_from=limit)
    return any(said[name].verdict in ("better", "worse") for name in (["0"] if gain else said))


def intervals(studies: int) -> list[dict[str, Any]]:
    """How often each interval holds its component."""
    rows = []
    for text in ("subset=5 seed=5", "subset=10 seed=3"):
        design = factors.parse(text)
        shape = tuple(factor.levels for factor in design)
        seeds = range(factors.combinations(design))
        places = [factors.levels(design, seed) for seed in seeds]
        for draw, seed in ((1.0, 0.5), (0.3, 0.3), (0.0, 1.0), (1.0, 0.0)):
            rng = np.random.default_rng(0)
            held = np.zeros((studies, 4), bool)
            for i in range(studies):
                table = (
                    rng.normal(0, draw, (shape[0], 1)) + rng.normal(0, seed, (1, shape[1])) + rng.normal(0, 0.5, shape)
                )
                found = variance.split(np.array([table[place] for place in places]), seeds, design)
                assert found is not None
                ends = [*(part.interval for part in found.components), found.interval]
                truth = (draw, seed, 0.5, math.sqrt(draw**2 + seed**2 + 0.25))
                held[i] = [low - 1e-12 <= sd <= high for sd, (low, high) in zip(truth, ends, strict=True)]
            names = ("draw", "seed", "rest", "together")
            row: dict[str, Any] = {"design": text, "sd of draws": draw, "sd of seeds": seed, "sd of the rest": 0.5}
            rows.append(row | {name: _rate(held[:, i]) for i, name in enumerate(names)})
            print(rows[-1], flush=True)
    return rows


def _rate(found: Any) -> list[float]:
    rate = float(np.mean(found))
    return [round(rate, 4), round(math.sqrt(rate * (1 - rate) / len(found)), 4)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=500)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/draws.json"))
    options = parser.parse_args()
    found = {
        "command": f"python -m benchmarks.draws --studies={options.studies}",
        "elsewhere": elsewhere(options.studies),
        "intervals": intervals(options.studies),
    }
    options.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
