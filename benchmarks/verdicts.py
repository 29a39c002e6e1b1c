"""What the verdict on settings decides, and how often it is wrong, by simulation; and what was tried beside it.

    python -m benchmarks.verdicts --studies=500 --out=benchmarks/results/verdicts.json
    python -m benchmarks.verdicts --studies=1000 --tables=stability --out=benchmarks/results/verdicts.json

A simulated study has k settings and a baseline with n runs each. A level is the share of studies with a false verdict
on any setting; power is the share in which the one setting that differs is found, by an effect in standard deviations
of a run. Beside each rate r of S studies stands its Monte Carlo error, sqrt(r (1 - r) / S). Nothing here reads a study
of the repository: the test was chosen by these tables before any was looked at (docs/decisions/0011).
"""

import argparse
import functools
import itertools
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from stablefit.study import comparison, looks, max_t, statistics

ALPHA = 0.05
RESAMPLES = 499

Groups = Sequence[np.ndarray]  # scores of the baseline, then of each setting
Method = Callable[[Groups, bool], np.ndarray]  # of groups, and whether their seeds are the same: p-values [k]


def holm(p_values: np.ndarray) -> np.ndarray:
    """Holm's adjusted p-values."""
    k = len(p_values)
    order = np.argsort(p_values)
    adjusted = np.empty(k)
    adjusted[order] = np.maximum.accumulate(np.minimum(1.0, p_values[order] * (k - np.arange(k))))
    return adjusted


def means_with_holm(groups: Groups, shared: bool) -> np.ndarray:
    """What was here before: permutation tests of the difference of means, each setting alone; Holm over them.

    Signs are flipped where seeds are shared and so many that Holm's strictest level can be reached.
    """
    base, *others = groups
    return holm(np.array([_alone(one, base, shared and 2 / 2 ** len(base) <= ALPHA / len(others)) for one in others]))


def _alone(a: np.ndarray, b: np.ndarray, paired: bool) -> float:
    n, m = len(a), len(b)
    if paired and n == m:
        apart = a - b
        observed, drawn = abs(apart.sum()), np.abs(_signs(n) @ apart)
    else:
        both = np.concatenate([a, b]) - np.concatenate([a, b]).mean()
        observed, drawn = abs(both[:n].sum()), np.abs(_exchanges(n, m) @ both)
    return float((drawn >= observed - 1e-9).mean())


@functools.lru_cache
def _signs(n: int) -> np.ndarray:
    if n <= 12:
        return np.array(list(itertools.product([1.0, -1.0], repeat=n)))
    return np.random.default_rng(0).choice([1.0, -1.0], (4000, n))


@functools.lru_cache
def _exchanges(n: int, m: int) -> np.ndarray:
    if math.comb(n + m, n) <= 4000:
        labels = np.array(list(itertools.combinations(range(n + m), n)))
    else:
        labels = np.argsort(np.random.default_rng(0).random((4000, n + m)), axis=1)[:, :n]
    weights = np.zeros((len(labels), n + m))
    np.put_along_axis(weights, labels, 1.0, axis=1)
    return weights


def _seeds(groups: Groups, shared: bool) -> list[range]:
    starts = np.concatenate([[0], np.cumsum([len(group) for group in groups])])
    return [range(len(g)) if shared else range(i, i + len(g)) for g, i in zip(groups, starts, strict=False)]


def chosen(groups: Groups, shared: bool) -> np.ndarray:
    """What the verdicts of a study are made by."""
    return max_t.means_test(max_t.sample(groups, _seeds(groups, shared)), RESAMPLES).p_values


def _max_t(statistic: max_t.Statistic, within: bool) -> Method:
    """A step-down max-t test; within seeds, or among all runs."""

    def test(groups: Groups, shared: bool) -> np.ndarray:
        seeds = _seeds(groups, shared)
        sample = max_t.sample(groups, seeds)
        blocks = np.concatenate(seeds) if within and shared else np.zeros(len(sample.values), int)
        return max_t.step_down(sample._replace(blocks=blocks), statistic, RESAMPLES)

    return test


def _apart(values: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """[..., k, n], differences of the runs of one seed."""
    groups = values.reshape(*values.shape[:-1], len(sizes), -1)
    return groups[..., 1:, :] - groups[..., :1, :]


def paired_t(values: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """|t| of the differences by seed."""
    differences = _apart(values, sizes)
    error = differences.std(-1, ddof=1) / math.sqrt(differences.shape[-1])
    return np.abs(differences.mean(-1)) / np.maximum(error, 1e-12)


def welch_t(values: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """|t| with each setting's own variance."""
    means, variances = max_t.moments(values, sizes)
    of_mean = variances / sizes
    error = np.sqrt(of_mean[..., 1:] + of_mean[..., :1])
    return np.abs(means[..., 1:] - means[..., :1]) / np.maximum(error, 1e-12)


def difference(values: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """|difference of means|, not divided by anything."""
    means, _ = max_t.moments(values, sizes)
    return np.abs(means[..., 1:] - means[..., :1])


BEFORE, CHOSEN, PAIRED = "means, Holm (before)", "max t (chosen)", "within, paired t"
METHODS: Mapping[str, Method] = {
    BEFORE: means_with_holm,
    CHOSEN: chosen,
    "runs within seeds": _max_t(max_t.t_statistic, True),
    "runs among all": _max_t(max_t.t_statistic, False),
    PAIRED: _max_t(paired_t, True),
    "within, Welch's t": _max_t(welch_t, True),
    "among all, Welch's t": _max_t(welch_t, False),
    "within, difference": _max_t(difference, True),
}
LEVELS = dict.fromkeys(METHODS, ALPHA) | {CHOSEN: ALPHA * looks.FIRST_SHARE}  # a fifth is kept for later looks


def draw(kind: str, rng: np.random.Generator, groups: int, n: int, shared: float = 0.0) -> np.ndarray:
    """Scores [groups, n] without any effect; `shared` is the correlation of runs of one seed."""
    z = rng.standard_normal((groups, n))
    if shared:
        z = math.sqrt(1 - shared) * z + math.sqrt(shared) * rng.standard_normal(n)
    if kind == "skewed":
        return np.exp(z)
    if kind == "bimodal":
        return 0.3 * z + 3.0 * (rng.random((groups, n)) < 0.5)
    if kind.startswith("failing"):
        return np.where(rng.random((groups, n)) < float(kind.split()[1]) / 100, -8 + 0.1 * z, z)
    return np.round(z) if kind == "rounded" else z


def rate(
    name: str,
    studies: int,
    n: int,
    k: int,
    kind: str = "normal",
    shared: float = 0.0,
    effects: Sequence[float] = (),
    spreads: Sequence[float] = (),
    fewer: int = 0,
) -> list[float]:
    """Share of studies with a false verdict, or where the first setting has an effect, that find it; and its error.

    Args:
        shared: the correlation of runs of one seed.
        effects: of the first settings; the others, and all if there are none, are like the baseline.
        spreads: standard deviations of the first groups, from the baseline on.
        fewer: so many runs of the first setting, which then shares no seeds; 0: as many as of all.
    """
    if fewer and name == PAIRED:  # which needs pairs
        return [math.nan, math.nan]
    rng = np.random.default_rng([n, k, round(100 * shared)])
    effect = np.zeros(k + 1)
    effect[1 : 1 + len(effects)] = effects
    spread = np.ones(k + 1)
    spread[: len(spreads)] = spreads
    hits = 0
    for _ in range(studies):
        scores = list(draw(kind, rng, k + 1, n, shared) * spread[:, None] + effect[:, None])
        if fewer:
            scores[1] = scores[1][:fewer]
        found = METHODS[name](scores, not fewer) <= LEVELS[name]
        hits += bool(found[0]) if len(effects) == 1 else bool((found & (effect[1:] == 0)).any())
    share = hits / studies
    return [round(share, 4), round(math.sqrt(share * (1 - share) / studies), 4)]


def candidates(studies: int) -> dict[str, Any]:
    """All that was tried, on what tells them apart; eight settings but in the first lines."""
    half = [-4.0] * 4
    cases: dict[str, dict[str, Any]] = {
        "power, 1 setting, 5 seeds, 2 SD": {"n": 5, "k": 1, "effects": [2.0]},
        "power, 1 setting, 6 seeds, 2 SD": {"n": 6, "k": 1, "effects": [2.0]},
        "power, 1 setting, 10 seeds, 1 SD": {"n": 10, "k": 1, "effects": [1.0]},
        "power, 5 seeds, 2 SD": {"n": 5, "k": 8, "effects": [2.0]},
        "power, 10 seeds, 1 SD": {"n": 10, "k": 8, "effects": [1.0]},
        "power, 10 seeds, 1 SD, seeds correlate .4": {"n": 10, "k": 8, "effects": [1.0], "shared": 0.4},
        "power, 10 seeds, 0.6 SD, seeds correlate .8": {"n": 10, "k": 8, "effects": [0.6], "shared": 0.8},
        "level, 5 seeds": {"n": 5, "k": 8},
        "level, 10 seeds, 5 % failing": {"n": 10, "k": 8, "kind": "failing 5"},
        "level, 10 seeds, one spreads 3 times": {"n": 10, "k": 8, "spreads": [1, 3]},
        "level, 5 seeds, one spreads 3 times": {"n": 5, "k": 8, "spreads": [1, 3]},
        "level, 10 seeds, one spreads 12 times": {"n": 10, "k": 8, "spreads": [1, 12]},
        "level, 1 setting, 5 seeds, it spreads 3 times": {"n": 5, "k": 1, "spreads": [1, 3]},
        "level, 10 seeds, one spreads 3 times and has 5": {"n": 10, "k": 8, "spreads": [1, 3], "fewer": 5},
        "level, 1 setting of 5 seeds against 10, it spreads 3 times": {"n": 10, "k": 1, "spreads": [1, 3], "fewer": 5},
        "level of four, the other four differ by 4 SD, 5 seeds": {"n": 5, "k": 8, "effects": half},
        "the same, one of them spreads 5 times, 10 seeds": {"n": 10, "k": 8, "effects": half, "spreads": [1, 5]},
    }
    return {case: {name: rate(name, studies, **how) for name in METHODS} for case, how in _shown(cases)}


def level(studies: int) -> dict[str, Any]:
    """False verdicts, before and now."""
    kinds = ("normal", "skewed", "bimodal", "failing 5", "failing 20", "rounded")
    cases = {
        f"{kind}, {k} settings, {n} seeds": {"kind": kind, "k": k, "n": n}
        for kind in kinds
        for k in (1, 8, 13)
        for n in (5, 10, 20)
    }
    return {case: {name: rate(name, studies, **how) for name in (BEFORE, CHOSEN)} for case, how in _shown(cases)}


def power(studies: int) -> dict[str, Any]:
    """One setting is better, before and now."""
    cases = {
        f"{effect} SD, {k} settings, {n} seeds": {"effects": [effect], "k": k, "n": n}
        for effect in (0.5, 1.0, 1.5, 2.0)
        for k in (1, 8, 13)
        for n in (5, 10, 20)
    }
    return {case: {name: rate(name, studies, **how) for name in (BEFORE, CHOSEN)} for case, how in _shown(cases)}


def detectable(studies: int) -> dict[str, Any]:
    """How often a difference is found that is as large as what studies of that kind call detectable."""
    out = {}
    for k in (1, 8, 13):
        for n in (5, 10, 20):
            rng = np.random.default_rng([k, n])
            said = [
                _compared(list(rng.standard_normal((k + 1, n))))["0"].detectable for _ in range(max(20, studies // 4))
            ]
            typical = float(np.median(said))
            found = rate(CHOSEN, studies, n, k, effects=[typical])
            out[f"{k} settings, {n} seeds"] = {"said, in SD (median)": round(typical, 3), "found": found}
    return out


def stability(studies: int) -> dict[str, Any]:
    """Verdicts on spread and on failed runs, before (Brown and Forsythe, McNemar; Holm) and now."""
    out = {}
    for k in (1, 8, 13):
        for n in (5, 10, 20):
            for said, spread in (("no difference", 1.0), ("a third of the SD", 1 / 3), ("three times the SD", 3.0)):
                out[f"spread: {said}, {k} settings, {n} seeds"] = _spread(studies, k, n, spread)
            for base, own in ((0.1, 0.1), (0.0, 0.7), (0.1, 0.6)):
                out[f"failing {own:.0%}, the others {base:.0%}, {k} settings, {n} seeds"] = _failing(
                    studies, k, n, base, own
                )
    return out


def _spread(studies: int, k: int, n: int, spread: float) -> dict[str, list[float]]:
    rng = np.random.default_rng([k, n, round(10 * spread)])
    before, now = [], []
    for _ in range(studies):
        groups = rng.standard_normal((k + 1, n))
        groups[1] *= spread
        old = holm(np.array([float(stats.levene(one, groups[0], center="median").pvalue) for one in groups[1:]]))
        new = [c.p_spread for c in _compared(list(groups)).values()]
        before.append(old[0] <= ALPHA if spread != 1 else min(old) <= ALPHA)
        now.append(new[0] <= ALPHA if spread != 1 else min(new) <= ALPHA)
    return {BEFORE: _share(before), CHOSEN: _share(now)}


def _failing(studies: int, k: int, n: int, base: float, own: float) -> dict[str, list[float]]:
    rng = np.random.default_rng([k, n, round(100 * own)])
    before, now = [], []
    for _ in range(studies):
        failed = rng.random((k + 1, n)) < base
        failed[1] = rng.random(n) < own
        only = [(int((one & ~failed[0]).sum()), int((failed[0] & ~one).sum())) for one in failed[1:]]
        old = holm(np.array([float(stats.binomtest(a, a + b).pvalue) if a + b else 1.0 for a, b in only]))
        scores = rng.standard_normal((k + 1, n)) - 8.0 * failed
        new = [c.p_failed for c in _compared(list(scores), failed).values()]
        before.append(old[0] <= ALPHA if base != own else min(old) <= ALPHA)
        now.append(new[0] <= ALPHA if base != own else min(new) <= ALPHA)
    return {BEFORE: _share(before), CHOSEN: _share(now)}


def looked(studies: int) -> dict[str, Any]:
    """False verdicts of who looks again after adding seeds, and stops at the first verdict."""
    out = {}
    for said, looks_at in (
        ("5, then 10", (5, 10)),
        ("5, 6, 7, 8, 9, 10", tuple(range(5, 11))),
        ("10, then 20", (10, 20)),
    ):
        for k in (1, 8):
            rng = np.random.default_rng([k, *looks_at])
            before, now = [], []
            for _ in range(studies):
                scores = rng.standard_normal((k + 1, looks_at[-1]))
                first = [METHODS[BEFORE](list(scores[:, :n]), True).min() <= ALPHA for n in looks_at]
                p_values = [METHODS[CHOSEN](list(scores[:, :n]), True).min() for n in looks_at]
                known = [[n / 2 for n in looks_at[: i + 1]] for i in range(len(looks_at))]
                before.append(any(first))
                now.append(any(p <= _level(tuple(own)) for p, own in zip(p_values, known, strict=True)))
            out[f"{said} seeds, {k} settings"] = {BEFORE: _share(before), CHOSEN: _share(now)}
    return out


@functools.lru_cache
def _level(information: tuple[float, ...]) -> float:
    return looks.level(ALPHA, information)


def intervals(studies: int) -> dict[str, Any]:
    """How often intervals hold the truth: of all differences together, and of the interquartile mean."""
    out = {}
    for k, n in ((1, 5), (8, 5), (8, 10), (13, 10)):
        rng = np.random.default_rng([k, n])
        held = []
        for _ in range(studies):
            effect = np.concatenate([[0.0, 2.0], np.zeros(k - 1)])
            groups = rng.standard_normal((k + 1, n)) + effect[:, None]
            said = _compared(list(groups)).values()
            held.append(all(c.interval.low <= e <= c.interval.high for c, e in zip(said, effect[1:], strict=True)))
        out[f"differences, {k} settings, {n} seeds"] = _share(held)
    for n in (5, 10, 20):
        rng = np.random.default_rng(n)
        found = [statistics.iqm_interval(rng.standard_normal(n)) for _ in range(studies)]
        out[f"interquartile mean, {n} seeds"] = _share([i.low <= 0 <= i.high for i in found])
    return out


def _compared(groups: Groups, failed: np.ndarray | None = None) -> dict[str, comparison.Comparison]:
    """What the product says; the first setting is called 0."""
    marks = np.zeros((len(groups), len(groups[0])), bool) if failed is None else failed
    base, *others = (statistics.Runs(one, mark, range(len(one))) for one, mark in zip(groups, marks, strict=True))
    return comparison.compare(base, {str(i): one for i, one in enumerate(others)}, ALPHA, n_resamples=RESAMPLES)


def _share(hits: Sequence[bool]) -> list[float]:
    share = float(np.mean(hits))
    return [round(share, 4), round(math.sqrt(share * (1 - share) / len(hits)), 4)]


def _shown(cases: Mapping[str, dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, how in cases.items():
        print(name, file=sys.stderr, flush=True)
        yield name, how


TABLES = {
    "candidates": (candidates, 1.0),
    "level": (level, 1.0),
    "power": (power, 0.5),
    "detectable": (detectable, 0.5),
    "stability": (stability, 0.25),
    "looks": (looked, 1.0),
    "intervals": (intervals, 0.5),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--studies", type=int, default=500, help="of each case; tables of slow cases have a part of it")
    parser.add_argument("--tables", default=",".join(TABLES))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    out: dict[str, Any] = json.loads(options.out.read_text()) if options.out and options.out.is_file() else {}
    for name in options.tables.split(","):
        table, share = TABLES[name]
        studies = max(20, round(options.studies * share))
        begun = time.monotonic()
        found = table(studies)
        out[name] = {
            "studies": studies,
            "resamples": RESAMPLES,
            "seconds": round(time.monotonic() - begun),
            "rates": found,
        }
        text = json.dumps(out, indent=1) + "\n"
        if options.out:
            options.out.write_text(text)
        print(json.dumps({name: out[name]}, indent=1))


if __name__ == "__main__":
    main()
