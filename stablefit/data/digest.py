"""A few digits that name what a run is trained and scored on, to tell other data from it later."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from stablefit.data.encoding import Encoded


class Digest(NamedTuple):
    """Of the data of a run: of what was read, not of the files, nor of which seeds or folds are asked for."""

    digest: str  # twelve hexadecimal digits
    examples: dict[str, int]  # how many there are of each split

    def difference(self, now: "Digest") -> str:
        """How other data differs, as far as numbers of examples say."""
        parts = [
            f"{name} {self.examples.get(name, 0)} examples then, {now.examples.get(name, 0)} now"
            for name in {**self.examples, **now.examples}
            if self.examples.get(name) != now.examples.get(name)
        ]
        return "; ".join(parts) or "as many examples then as now, but not the same ones"


def digest_of(data: Mapping[str, Encoded], labels: Sequence[str]) -> Digest:
    """The digest of all splits.

    Args:
        data: name of each split -> its examples, with the tokenizer's own ids.
        labels: what class ids or tags stand for.
    """
    known = {name: part.digest for name, part in data.items()}
    text = json.dumps([list(labels), known], sort_keys=True)
    return Digest(hashlib.sha256(text.encode()).hexdigest()[:12], {name: len(part) for name, part in data.items()})
