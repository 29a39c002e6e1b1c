"""What columns are usually called, and what a number looks like."""

import math

# Pairs of texts, first and second.
PAIRS = (
    ("sentence1", "sentence2"),
    ("sentence_1", "sentence_2"),
    ("sentence_a", "sentence_b"),
    ("text1", "text2"),
    ("text_1", "text_2"),
    ("text_a", "text_b"),
    ("#1 string", "#2 string"),
    ("question1", "question2"),
    ("premise", "hypothesis"),
    ("question", "sentence"),
    ("question", "answer"),
    ("question", "passage"),
    ("query", "passage"),
    ("query", "document"),
)
# Names that are looked for first, and others that count where none of the first is there.
TEXTS = (
    ("text", "texts", "sentence", "sentences", "review", "message", "body", "comment", "content", "document"),
    (
        *("utterance", "tweet", "post", "title", "headline", "subject", "description", "question", "query", "answer"),
        *("abstract", "summary", "note", "notes", "feedback", "email", "ticket", "complaint", "phrase", "review_text"),
        *("prompt", "response", "input", "passage", "premise", "hypothesis", "reaction", "smiles", "sequence"),
    ),
)
LABELS = (
    ("label", "labels", "gold_label", "class", "target", "y"),
    (
        *("category", "categories", "intent", "sentiment", "topic", "topics", "tag", "tags", "score", "rating"),
        *("stars", "emotion", "emotions", "polarity", "stance", "quality", "grade", "is_duplicate", "similarity"),
        *("yield", "classes", "outcome"),
    ),
    ("accept",),  # the options that were chosen, in Prodigy's exports
)
IDS = ("id", "ids", "idx", "index", "uid", "guid", "uuid", "row_id", "example_id", "pairid", "pair_id")

# Without the last, which is as often a label itself: this tells a header from a row.
_KNOWN = {name for names in (*PAIRS, *TEXTS, *LABELS[:-1], IDS) for name in names}


def plain(name: str) -> str:
    """A name as the lists above have it."""
    return name.strip().casefold()


def is_known(name: str) -> bool:
    return plain(name) in _KNOWN


def number(value: str) -> float:
    """A finite number with a decimal point.

    float() alone would also take "1_000", "nan" and digits of other scripts.

    Raises:
        ValueError: it is something else.
    """
    value = value.strip()
    if not value or not set(value) <= set("0123456789+-.eE"):
        raise ValueError(f"{value!r} is not a number")
    found = float(value)
    if not math.isfinite(found):
        raise ValueError(f"{value!r} is too large")
    return found


def is_number(value: str) -> bool:
    try:
        number(value)
    except ValueError:
        return False
    return True
