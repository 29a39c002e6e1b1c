"""What a run says of the entities in its data before it starts: how many, and which it cannot learn or score."""

from collections import Counter
from collections.abc import Mapping, Sequence

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
