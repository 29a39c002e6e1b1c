"""A look at a file of entities before anything is trained."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from stablefit.data.checks import entity_findings
from stablefit.data.checks.finding import Finding, check_codes
from stablefit.data.checks.text_findings import propose_length
from stablefit.data.checks.token_counts import unknown_shares
from stablefit.data.encoding import Tokenizer
from stablefit.data.tags import tagging
from stablefit.data.tags.own_tags import OwnTags
from stablefit.data.tags.tagging_encoding import EncodedTags, Pieces, encode_tags, n_unparted

_NO_LIMIT = 10**6  # tokens of a window
_PARTED = 0.9  # share of the entities whose edges must lie between pieces of the text


@dataclasses.dataclass(frozen=True)
class Pieced:
    """What a tokenizer makes of a file of entities.

    Args:
        lengths: int [N], what each document takes of a window: its tokens, special ones included, and one more for each
            word that is read at another's piece.
        shares: float64 [N], how much of each the tokenizer does not know.
        length: of a window: what all but a few documents fit in, at most what the model takes.
        encoded: the windows, cut by the pieces of the text.
        n_unparted: entities with an edge that lies within such a piece.
    """

    lengths: np.ndarray
    shares: np.ndarray
    length: int
    encoded: EncodedTags
    n_unparted: int

    @property
    def pieces(self) -> Pieces:
        """What suits: pieces of the text, unless they hide the edges of too many entities."""
        total = sum(map(len, self.encoded.documents.entities))
        return "text" if self.n_unparted <= (1 - _PARTED) * total else "word"


def pieced(own: OwnTags, tokenizer: Tokenizer, limit: int, length: int = 0) -> Pieced:
    """A file as a tokenizer cuts it.

    Args:
        limit: most tokens that the model takes.
        length: of a window, where it is given.
    """
    tags = tagging.tag_names(own.types, "iob2")
    whole = encode_tags(own.examples, tags, tokenizer, _NO_LIMIT, own.unit, "text")
    n_words = np.array([len(words) for words in own.examples.words])
    n_places = np.array([len(np.unique(row[:n])) for row, n in zip(whole.words, n_words, strict=True)])
    lengths = whole.lengths + (n_words - n_places)
    length = length or propose_length(lengths, limit)
    encoded = encode_tags(own.examples, tags, tokenizer, length, own.unit, "text")
    shares = unknown_shares(tokenizer, own.examples.texts, letters=own.unit == "word")
    return Pieced(lengths, shares, length, encoded, n_unparted([encoded]))


def findings(
    own: OwnTags,
    *,
    others: Sequence[OwnTags] = (),
    cut: Pieced | None = None,
    folds: int = 5,
    mute: Sequence[str] = (),
) -> list[Finding]:
    """What is to be said about a file, serious findings first.

    Args:
        own: the file as it is understood.
        others: further files, such as the test file, whose texts must not be in this one.
        cut: as a tokenizer cuts it; without it nothing is said of tokens.
        folds: of the cross-validation that is to come.
        mute: codes of findings to leave out.

    Raises:
        InputError: a code to mute is none.
    """
    check_codes(mute)
    found = [one for make in entity_findings.ALWAYS for one in make(own)]
    found += entity_findings.shared(own, others)
    found += entity_findings.rare(own, folds)
    found += entity_findings.few(own, folds)
    if cut is not None:
        found += entity_findings.unknown(own, cut.shares)
        found += entity_findings.cut_pieces(own, cut.n_unparted)
        found += entity_findings.windows(own, cut.encoded, cut.length)
    return sorted((one for one in found if one.code not in mute), key=lambda one: (not one.serious, one.code))
