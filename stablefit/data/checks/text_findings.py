"""What is to be said about the texts of a file."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from stablefit.data.checks.finding import Finding, finding, lines
from stablefit.data.tables.names import is_number
from stablefit.data.tables.own import OwnTexts
from stablefit.data.tables.rows import counted

MISSING = {"na", "n/a", "nan", "null", "<na>", "#n/a", "nil", "?", "-", "--"}  # what programs write for nothing

_LENGTHS = (32, 48, 64, 96, 128, 192, 256, 384, 512)
_MOST_CUT = 0.01  # share of texts that a proposed length may cut
_HALF_MORE = 1.5  # times as long, where that cuts none: rows are packed, so few long texts cost little
_ROUND_TO = 8  # as token tables are
_MOSTLY_UNKNOWN = 0.5  # share of a text's pieces
_LONG_WORD, _LONG_SCRIPT = 15, 2  # characters of a text without a space that is still one word
_MANY = 0.05  # share of texts from which on it is said
_NAMED, _NEARLY_ALL = 0.5, 0.9  # shares of rows that name their label


def _key(text: str) -> str:
    """A text without what is no difference: case, and how many spaces."""
    return " ".join(text.split()).casefold()


def _keys(own: OwnTexts) -> list[tuple[str, ...]]:
    first, second = own.examples.texts_a, own.examples.texts_b
    if second is None:
        return [(_key(text),) for text in first]
    return [(_key(a), _key(b)) for a, b in zip(first, second, strict=True)]


def repeated(own: OwnTexts) -> list[Finding]:
    """SF101, SF102 and SF104: texts twice, with different labels, in two groups."""
    places: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for row, key in enumerate(_keys(own)):
        places[key].append(row)
    twice = [rows for rows in places.values() if len(rows) > 1]
    labels, groups = own.examples.labels, own.examples.groups
    same: list[list[int]] = []
    differing: list[list[int]] = []
    for rows in twice:
        (same if all(np.array_equal(labels[row], labels[rows[0]]) for row in rows) else differing).append(rows)
    found = []
    if same:
        found.append(_repeated("SF101", own, same, "with the same label", _COPIES))
    if differing:
        # A measured number differs from one time to the next; a class does not.
        serious = own.task.kind != "regression"
        found.append(_repeated("SF102", own, differing, "with different labels", _CONTRADICTIONS, serious))
    if groups is not None:
        apart = [rows for rows in twice if len({int(groups[row]) for row in rows}) > 1]
        if apart:
            found.append(_repeated("SF104", own, apart, f"with different {own.choice.group}", _GROUPS, True))
    return found


_COPIES = (
    "Remove the copies, or keep them together in cross-validation by a group column; else a model is tested on rows"
    " it was trained on."
)
_CONTRADICTIONS = "Decide which label is right, or remove these rows: a model can only get one of them right."
_GROUPS = "Look whether the groups are right: a text in two of them is trained and tested on."


def _repeated(code: str, own: OwnTexts, places: list[list[int]], how: str, do: str, serious: bool = False) -> Finding:
    numbers = [own.lines[row] for rows in places for row in rows]
    example = lines([own.lines[row] for row in places[0]])
    what = f"{counted(len(places), 'text')} in {counted(len(numbers), 'row')} {how}, such as on {example}."
    return finding(code, what, do, numbers, serious=serious)


def shared(own: OwnTexts, others: Sequence[OwnTexts]) -> list[Finding]:
    """SF103: texts of the first file that stand in another, such as the test file, too."""
    places: dict[tuple[str, ...], int] = {}
    for row, key in enumerate(_keys(own)):
        places.setdefault(key, row)
    found = []
    for other in others:
        pairs = [(places[key], row) for row, key in enumerate(_keys(other)) if key in places]
        if pairs:
            here, there = own.lines[pairs[0][0]], other.lines[pairs[0][1]]
            found.append(
                finding(
                    "SF103",
                    f"{counted(len(pairs), 'row')} of {other.path} also in {own.path}, such as line {there} there and"
                    f" line {here} here.",
                    "Remove them from one of the files: scores on rows that were trained on are too good.",
                    sorted({own.lines[first] for first, _ in pairs}),
                    serious=True,
                )
            )
    return found


def short(own: OwnTexts) -> list[Finding]:
    """SF105: texts of at most one word, or only what programs write for nothing."""
    texts = own.examples.texts_a, own.examples.texts_b or own.examples.texts_a
    found = [row for row, pair in enumerate(zip(*texts, strict=True)) if any(_is_short(text) for text in pair)]
    if not found:
        return []
    numbers = [own.lines[row] for row in found]
    what = f"{counted(len(found), 'row')} of {len(own):,}, such as {lines(numbers)}."
    do = "Look whether these are texts at all; leave out what nobody could label."
    return [finding("SF105", what, do, numbers)]


def _is_short(text: str) -> bool:
    words = text.split()
    if len(words) != 1:
        return not words
    # A sentence of a language without spaces between words is one, and so is the formula of a molecule.
    longest = _LONG_WORD if text.isascii() else _LONG_SCRIPT
    return len(words[0]) <= longest or words[0].casefold() in MISSING


def propose_length(lengths: Sequence[int] | np.ndarray, limit: int = 512) -> int:
    """A length that cuts few texts: at most a hundredth, and none if that makes it at most half as long again.

    Args:
        lengths: N numbers of tokens, special ones included.
        limit: most tokens that the model takes.

    >>> propose_length([12, 40, 61]), propose_length([20] * 999 + [300]), propose_length([700, 20])
    (64, 32, 512)
    """
    lengths = np.asarray(lengths)
    usual = [length for length in _LENGTHS if np.mean(lengths > length) <= _MOST_CUT]
    length = usual[0] if usual else limit
    longest = -(-int(lengths.max()) // _ROUND_TO) * _ROUND_TO
    return min(limit, max(length, longest) if longest <= _HALF_MORE * length else length)


def cut(own: OwnTexts, lengths: np.ndarray, limit: int) -> list[Finding]:
    """SF106: texts longer than the proposed length, and how many at others."""
    length = propose_length(lengths, limit)
    longer = np.flatnonzero(lengths > length)
    if not len(longer):
        return []
    sizes = [size for size in _LENGTHS if length / 4 <= size < length] + [length]
    at = {size: int((lengths > size).sum()) for size in sizes}
    told = ", ".join(f"{n:,} at {size}" for size, n in at.items() if n)
    numbers = [own.lines[row] for row in longer]
    return [
        finding(
            "SF106",
            f"The longest text has {lengths.max():,} tokens. So many texts of {len(own):,} are cut: {told}.",
            f"max_length={length} suits most. Where what matters stands at the end of long texts, shorten them"
            " yourself.",
            numbers,
            serious=len(longer) > len(own) / 2,
        )
    ]


def unknown(own: OwnTexts, shares: np.ndarray) -> list[Finding]:
    """SF107: texts of which a tokenizer knows little: another script, or another language."""
    found = [row for row, share in enumerate(shares) if share > _MOSTLY_UNKNOWN]
    if len(found) <= _MANY * len(own):
        return []
    numbers = [own.lines[row] for row in found]
    return [
        finding(
            "SF107",
            f"In {counted(len(found), 'row')} of {len(own):,} most of what the tokenizer sees is unknown or single"
            f" letters, such as on {lines(numbers)}.",
            "Take an encoder that was trained on this language, by --model.",
            numbers,
            serious=len(found) > len(own) / 2,
        )
    ]


def named(own: OwnTexts) -> list[Finding]:
    """SF108: texts that name their own label, more often than they name others."""
    names = [_words(name) for name in own.task.labels]
    usable = [place for place, name in enumerate(names) if len(name.strip()) > 2 and not is_number(name)]
    if own.task.kind != "classification" or len(usable) < 2:
        return []
    texts = [_words(text) for text in _whole(own)]
    labels = own.examples.labels.tolist()
    own_name = [row for row, label in enumerate(labels) if label in usable and names[label] in texts[row]]
    # The next class's name is as good as any other to tell what happens by chance.
    by_chance = sum(names[(label + 1) % len(names)] in text for label, text in zip(labels, texts, strict=True))
    share = len(own_name) / len(own)
    if share < _NAMED or len(own_name) < 3 * by_chance:
        return []
    numbers = [own.lines[row] for row in own_name]
    return [
        finding(
            "SF108",
            f"{counted(len(own_name), 'row')} of {len(own):,} name their label in the text, such as {lines(numbers)}.",
            "If the label was written into the text, take it out: new texts will not have it.",
            numbers,
            serious=share >= _NEARLY_ALL,
        )
    ]


def _whole(own: OwnTexts) -> list[str]:
    """The text of each row, both texts of a pair in one."""
    first, second = own.examples.texts_a, own.examples.texts_b
    return first if second is None else [f"{a} {b}" for a, b in zip(first, second, strict=True)]


def _words(text: str) -> str:
    """A text as words with a space at each side, so that whole words are found in it."""
    return f" {' '.join(''.join(c if c.isalnum() else ' ' for c in text.casefold()).split())} "
