"""What a tokenizer makes of texts: how many tokens, and how much it does not know."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from stablefit.data.encoding import Tokenizer

_CHUNK = 1024  # texts tokenised at a time


def token_lengths(tokenizer: Tokenizer, first: list[str], second: list[str] | None) -> np.ndarray:
    """int32 [N], tokens of each example, special ones included, however many a model takes.

    Args:
        tokenizer: as `load_tokenizer` gives it.
        first: N texts.
        second: N second texts, if they are pairs.
    """
    found: list[int] = []
    for start in range(0, len(first), _CHUNK):
        pairs = None if second is None else second[start : start + _CHUNK]
        batch = tokenizer(first[start : start + _CHUNK], pairs, return_attention_mask=False, verbose=False)
        found += [len(ids) for ids in batch["input_ids"]]
    return np.array(found, np.int32)


def unknown_shares(tokenizer: Tokenizer, texts: list[str], letters: bool = True) -> np.ndarray:
    """float64 [N], the share of a text's pieces that are unknown, or single letters of a word of several pieces.

    Args:
        tokenizer: as `load_tokenizer` gives it.
        texts: N texts.
        letters: whether single letters count: not in a script whose words are not parted.
    """
    found: list[float] = []
    for start in range(0, len(texts), _CHUNK):
        batch = tokenizer(texts[start : start + _CHUNK], add_special_tokens=False, verbose=False)
        for one in batch.encodings:
            found.append(_share(one.tokens, one.word_ids if letters else range(len(one.tokens)), tokenizer.unk_token))
    return np.array(found)


def _share(pieces: Sequence[str], words: Sequence[int | None], unknown: str | None) -> float:
    """Of one text. A word of one letter is no lost one, nor is a character of a script without spaces."""
    parts = Counter(words)
    lost = 0
    for piece, word in zip(pieces, words, strict=True):
        single = parts[word] > 1 and len(piece.removeprefix("##")) == 1 and piece[-1].isalpha()
        lost += piece == unknown or single
    return lost / max(1, len(pieces))
