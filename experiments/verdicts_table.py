"""The verdicts of the committed studies by the test of before and by the one of now, side by side.

    python -m experiments.verdicts_table experiments/results experiments/results/verdicts.json

Before: a permutation test of the means, each setting alone, and Holm's method over all. Now: the step-down max-t test
of `stablefit.study`, simultaneous intervals, and the looks that a study records.
"""

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.verdicts import ALPHA, means_with_holm
from stablefit.study import findings, reading, verdicts
from stablefit.study.statistics import MIN_SEEDS, Runs

STUDIES = ("ablation_local", "learning_rate", "methods_on_rte", "sst2_few_sample", "stsb_few_sample", "cola_few_sample")
STUDIES += ("ccks", "ccks_tuning")


def main(folder: str, out: str) -> None:
    table: dict[str, Any] = {}
    for name in STUDIES:
        for group in findings.analyse(reading.load(Path(folder) / name)):
            baseline, *others = group.settings
            if baseline.judged.runs is None:
                continue
            old = _before(baseline.judged.runs, {one.name: one.judged.runs for one in others if one.judged.runs})
            rows = {}
            for one in others:
                if one.comparison is None:
                    continue
                c = one.comparison
                rows[one.name] = {
                    "difference": round(c.difference, 4),
                    "interval": None if c.verdict == "cannot decide" else [round(x, 4) for x in c.interval],
                    "before": old[one.name],
                    "now": c.verdict,
                    **({} if c.verdict == "cannot decide" else {"p now": round(c.p_value, 4)}),
                    **({} if not c.p_spread <= verdicts.ALPHA else {"spread": round(c.spread_ratio, 3)}),
                    **({} if not c.p_failed <= verdicts.ALPHA else {"failed runs": "differ"}),
                }
            table[f"{name}: {group.task.name}"] = rows
    changed = {study: [n for n, r in rows.items() if r["before"] != r["now"]] for study, rows in table.items()}
    text = json.dumps({"changed": {s: names for s, names in changed.items() if names}, "verdicts": table}, indent=1)
    Path(out).write_text(text + "\n")
    print(text)


def _before(baseline: Runs, settings: dict[str, Runs]) -> dict[str, str]:
    """The verdicts as they were: on runs, in cross-validation too."""
    judged = [n for n, runs in settings.items() if min(len(runs.scores), len(baseline.scores)) >= MIN_SEEDS]
    verdict = dict.fromkeys(settings, "cannot decide")
    if judged:
        groups = [baseline.scores, *(settings[n].scores for n in judged)]
        shared = all(list(settings[n].seeds) == list(baseline.seeds) for n in judged)
        for n, p in zip(judged, means_with_holm(groups, shared), strict=True):
            better = settings[n].scores.mean() > baseline.scores.mean()
            verdict[n] = "no difference found" if p > ALPHA else "better" if better else "worse"
    return verdict


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit((__doc__ or "").strip())
    main(*sys.argv[1:])
