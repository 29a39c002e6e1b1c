"""Entities looked up by how they are written: the longest match at each word."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from stablefit.data.tags.tagging import Span

Words = tuple[str, ...]


class Dictionary:
    """What entities are written as, each with the type it has most often.

    Args:
        written: words of an entity and its type.

    >>> known = Dictionary([(("New", "York"), "LOC"), (("York",), "PER")])
    >>> known.find(["in", "New", "York"])
    [Span(start=1, end=3, type='LOC')]
    """

    def __init__(self, written: Iterable[tuple[Words, str]]):
        counts: dict[Words, Counter[str]] = defaultdict(Counter)
        for words, type_ in written:
            counts[words][type_] += 1
        # Of types that are as frequent the first by name, whatever the order of the entities.
        self.types = {words: max(sorted(some), key=some.__getitem__) for words, some in counts.items()}
        self._lengths: dict[str, list[int]] = defaultdict(list)
        for words in self.types:
            if len(words) not in self._lengths[words[0]]:
                self._lengths[words[0]].append(len(words))
        for lengths in self._lengths.values():
            lengths.sort(reverse=True)

    def find(self, words: Sequence[str], taken: Iterable[int] = ()) -> list[Span]:
        """The entities in these words, from the left, none sharing a word with another.

        Args:
            words: of a document.
            taken: words that no entity may hold.
        """
        barred = set(taken)
        found: list[Span] = []
        place = 0
        while place < len(words):
            span = self._at(words, place, barred)
            if span is not None:
                found.append(span)
            place = place + 1 if span is None else span.end
        return found

    def _at(self, words: Sequence[str], place: int, barred: set[int]) -> Span | None:
        for length in self._lengths.get(words[place], ()):
            key, end = tuple(words[place : place + length]), place + length
            if key in self.types and not (barred and barred.intersection(range(place, end))):
                return Span(place, end, self.types[key])
        return None
