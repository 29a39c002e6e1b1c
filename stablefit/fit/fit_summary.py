"""What the page of a fit says, in a few lines for a terminal."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from stablefit.fit import evidence_words, headline, wording
from stablefit.fit.evidence import Evidence
from stablefit.fit.row_scores import Measured

if TYPE_CHECKING:
    from stablefit.fit.entity_evidence import EntityEvidence

WIDTH = 80
MOST_LINES = 25


def summary(evidence: Evidence) -> str:
    """At most 25 lines of at most 80 columns: headline, scores, agreement, calibration, rows to look at."""
    return told(evidence, evidence_words.cautions(evidence), _look(evidence))


def told(e: "Evidence | EntityEvidence", cautions: Sequence[str], look: str) -> str:
    """Evidence in so many lines.

    Args:
        cautions: what weakens the rest.
        look: what to look at.
    """
    blocks = [_wrapped(e.headline), *(_wrapped(sentence) for sentence in (*e.says, *cautions))]
    blocks.append(_scores(e))
    blocks.append(_wrapped(_seeds(e)))
    if r := e.reliability:
        by_chance = f"a calibrated model: {r.ece_if_calibrated:.3f}"
        blocks.append(_wrapped(f"Calibration: ECE {r.ece:.3f} ({by_chance}), Brier {r.brier:.3f}."))
    blocks.append(_wrapped(look))
    if e.curve:
        blocks.append(_wrapped(e.curve.says))
    lines = "\n".join(blocks).split("\n")
    if len(lines) > MOST_LINES:
        lines = [*lines[: MOST_LINES - 1], "(more on the page)"]
    return "\n".join(lines)


def _scores(e: "Evidence | EntityEvidence") -> str:
    """A table of the main score."""
    name = wording.METRICS[e.metric]
    lines = [(name, "", "")]
    lines += [("fine-tuned", *_written(e.metric, e.scores[e.metric]))]
    lines += [(headline.short(b.name), *_written(e.metric, b.scores[e.metric])) for b in e.baselines]
    return "\n".join(f"  {_short(first, 50):<50}{value:>8}  {limits}".rstrip() for first, value, limits in lines)


def _written(metric: str, measured: Measured) -> tuple[str, str]:
    value, low, high = (wording.measure(metric, x) for x in (measured.value, measured.low, measured.high))
    return value, f"{low} to {high}" if low != "unknown" else ""


def _seeds(e: "Evidence | EntityEvidence") -> str:
    single = e.single[e.metric]
    if e.n_repeats < 2:
        return "One seed: what another would give is not known."
    low, high = wording.score(single.minimum), wording.score(single.maximum)
    return f"One seed alone: {wording.score(single.mean)} on average, {low} to {high} over {e.n_repeats} seeds."


def _look(e: Evidence) -> str:
    if not e.suspects:
        return "No label stands out as wrong."
    ids = ", ".join(row.id for row in e.suspects[:3])
    more = " and so on" if len(e.suspects) > 3 else ""
    labels = "label looks" if len(e.suspects) == 1 else "labels look"
    return f"{len(e.suspects)} {labels} wrong: {_short(ids, 120)}{more}. The page shows them."


def _wrapped(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), WIDTH)


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
