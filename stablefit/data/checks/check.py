"""A look at a file before anything is trained: what a good colleague would say about it."""

from collections.abc import Sequence

import numpy as np

from stablefit.data.checks import label_findings, text_findings
from stablefit.data.checks.finding import Finding, check_codes
from stablefit.data.checks.text_findings import propose_length
from stablefit.data.tables.own import OwnTexts

__all__ = ["Finding", "findings", "propose_length"]


def findings(
    own: OwnTexts,
    *,
    others: Sequence[OwnTexts] = (),
    lengths: np.ndarray | None = None,
    shares: np.ndarray | None = None,
    limit: int = 512,
    folds: int = 5,
    mute: Sequence[str] = (),
) -> list[Finding]:
    """What is to be said about a file, serious findings first.

    Args:
        own: the file as it is understood.
        others: further files, such as the test file, whose texts must not be in this one.
        lengths: int [N], tokens of each example; without them nothing is said of what is cut.
        shares: float [N], how much of each example a tokenizer does not know; without them nothing is said of it.
        limit: most tokens that the model takes.
        folds: of the cross-validation that is to come.
        mute: codes of findings to leave out.

    Raises:
        InputError: a code to mute is none.
    """
    check_codes(mute)
    found = [
        *text_findings.repeated(own),
        *text_findings.shared(own, others),
        *text_findings.short(own),
        *(text_findings.cut(own, lengths, limit) if lengths is not None else []),
        *(text_findings.unknown(own, shares) if shares is not None else []),
        *text_findings.named(own),
        *label_findings.single(own),
        *label_findings.rare(own, folds),
        *label_findings.alike(own),
        *label_findings.unique(own),
        *label_findings.uneven(own),
        *label_findings.numbers_as_classes(own),
        *label_findings.classes_as_numbers(own),
        *label_findings.missing(own),
        *label_findings.unlabelled(own),
        *label_findings.few(own, folds),
        *label_findings.skipped(own),
    ]
    return sorted((one for one in found if one.code not in mute), key=_order)


def _order(one: Finding) -> tuple[bool, str]:
    return not one.serious, one.code
