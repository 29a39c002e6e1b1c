"""What a run says of the entities in its data before it starts: how many, and which it cannot learn or score."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from stablefit.data.tags.ner import TaggedExamples
from stablefit.data.tags.tagging_encoding import EncodedTags
from stablefit.data.tags.tagging_splits import units


def counted(data: Mapping[str, EncodedTags]) -> str:
    """How many documents and entities each split has; every entity is in the recall, whatever the length limit."""
    found = []
    for name, part in data.items():
        windows = f" ({len(part)} windows)" if len(part) > len(part.documents) else ""
        found.append(f"{types(part.documents).total()} in {len(part.documents)} {name} documents{windows}")
    return f"{', '.join(found)}; none is lost to the length limit"


def missed(data: Mapping[str, EncodedTags]) -> str:
    """How many entities no spans of words can be; they lower the recall."""
    counts = {name: part.documents.n_unrepresented.total() for name, part in data.items()}
    said = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    return f"{said} entities cut a word: no tags can find them; tagging_characters can" if said else ""


def missing(folds: Sequence[Mapping[str, EncodedTags]]) -> str:
    """What a split lacks: entities, or in training a type that is to be found.

    Args:
        folds: the splits of each fold; one without cross-validation.
    """
    said = []
    for fold, data in enumerate(folds):
        there = {name: types(part.documents) for name, part in data.items()}
        lacks = [f"no entity in {name}" for name, counts in there.items() if not counts]
        for name in ("validation", "test"):
            unseen = sorted(there[name].keys() - there["train"].keys())
            lacks += [f"no {type_} in train, {there[name][type_]} in {name}" for type_ in unseen]
        said += [(f"fold {fold}: " if len(folds) > 1 else "") + ", ".join(lacks)] if lacks else []
    return "; ".join(said)


def whole_documents(documents: TaggedExamples, folds: int) -> str:
    """Whether the sentences of a document stay together; nothing where the file names no documents."""
    n = len(set(documents.groups))
    if n == len(documents) or n == 1:
        return ""
    if len(set(units(documents.groups, folds).tolist())) == n:
        return f"the sentences of each of {n} documents (-DOCSTART-) are in one split"
    return f"{n} documents (-DOCSTART-) are too few to be kept whole: sentences of one are in several splits"


def types(documents: TaggedExamples) -> Counter[str]:
    """How many entities there are of each type."""
    return Counter(span.type for spans in documents.entities for span in spans)


def n_unparted(parts: Iterable[EncodedTags]) -> int:
    """How many entities have an edge, or a first word, that no emission tells from its neighbour.

    Words that are read at one piece, and are not its first, have the same emissions. Where two neighbours of that kind
    have different tags, only a CRF's transitions can say which is which.
    """
    n = 0
    for part in parts:
        tags_NxW = part.labels
        later_NxW = part.words == np.pad(part.words[:, :-1], ((0, 0), (1, 0)), constant_values=-1)
        alike = later_NxW[:, :-1] & later_NxW[:, 1:] & (tags_NxW[:, :-1] >= 0) & (tags_NxW[:, 1:] >= 0)
        unparted = alike & (tags_NxW[:, :-1] != tags_NxW[:, 1:])
        touched_NxW = np.pad(unparted, ((0, 0), (1, 0))) | np.pad(unparted, ((0, 0), (0, 1)))
        entity_NxW = np.cumsum((tags_NxW > 0) & (tags_NxW % 2 == 1), axis=1)  # B- tags are odd, O is 0
        row, word = np.nonzero(touched_NxW & (tags_NxW > 0))
        n += len(set(zip(row.tolist(), entity_NxW[row, word].tolist(), strict=True)))
    return n
