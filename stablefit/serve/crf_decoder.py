"""The best tags of a linear-chain CRF, with NumPy alone. This file may be copied and used on its own.

    from crf_decoder import Decoder

    decoder = Decoder("crf.json")
    tags = decoder(emissions)  # float [words, tags] -> names of tags, one a word
    spans = entities(tags)  # (first word, word behind the last, type)

`emissions` are the logits of the token classifier at each word's first piece, in the order of `decoder.tags`. A path
takes only the starts, transitions and ends that the tags' scheme allows.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np


class Decoder:
    """The scores of a CRF.

    Args:
        file: crf.json: 'tags' (K names), 'transitions' [K, K] (from, to), 'start' [K], 'end' [K], and 'allowed' with
            booleans of the same names and shapes.
    """

    def __init__(self, file: str | Path):
        stored = json.loads(Path(file).read_text(encoding="utf-8"))
        self.tags: list[str] = stored["tags"]
        self._scores = {
            name: np.where(np.array(stored["allowed"][name]), np.array(stored[name], np.float32), -np.inf)
            for name in ("transitions", "start", "end")
        }

    def __call__(self, emissions: np.ndarray) -> list[str]:
        """The tags of the highest score: Viterbi's algorithm, in float32."""
        emissions = np.asarray(emissions, np.float32)
        if emissions.ndim != 2 or emissions.shape[1] != len(self.tags):
            raise ValueError(f"emissions have the shape {emissions.shape}, expected (words, {len(self.tags)})")
        if not len(emissions):
            return []
        best = self._scores["start"] + emissions[0]
        origins = []
        for emission in emissions[1:]:
            paths = best[:, None] + self._scores["transitions"]
            origins.append(paths.argmax(0))
            best = paths.max(0) + emission
        path = [int((best + self._scores["end"]).argmax())]
        for origin in reversed(origins):
            path.append(int(origin[path[-1]]))
        return [self.tags[tag] for tag in reversed(path)]


def entities(tags: Sequence[str]) -> list[tuple[int, int, str]]:
    """The entities of IOB2 tags: first word, word behind the last, type.

    >>> entities(["O", "B-PER", "I-PER", "B-LOC"])
    [(1, 3, 'PER'), (3, 4, 'LOC')]
    """
    found: list[tuple[int, int, str]] = []
    for i, tag in enumerate(tags):
        if tag.startswith("B-"):
            found.append((i, i + 1, tag[2:]))
        elif tag.startswith("I-") and found and found[-1][1] == i and found[-1][2] == tag[2:]:
            found[-1] = (found[-1][0], i + 1, tag[2:])
    return found
