"""What is to be said about a file of entities: its documents, its types, and what is annotated in one place only."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from stablefit.data.checks.finding import Finding, finding, lines
from stablefit.data.checks.label_findings import plain
from stablefit.data.tables.labels import listed
from stablefit.data.tables.rows import counted, shown
from stablefit.data.tags.dictionary import Dictionary
from stablefit.data.tags.own_tags import OwnTags
from stablefit.data.tags.tagging import Span
from stablefit.data.tags.tagging_encoding import EncodedTags

_LONG = {"word": 5, "character": 10}  # words from which on a text that is there twice is no coincidence
_FEW = 50  # documents
_EMPTY = 0.5  # share of documents without entities
_SERIOUS = 0.05  # share of entities that no tags can find
_SLIPS = 0.05  # share of entities that begin with I-, up to which these are slips
_LEFT = 0.2  # share of a string's places that are annotated, from which on the others look forgotten
_SHORTEST = {"word": 3, "character": 2}  # letters of a string that is looked for elsewhere
_MOSTLY_UNKNOWN, _MANY = 0.5, 0.05  # share of a text's pieces, share of texts
_SHOWN = 3


def entities(own: OwnTags) -> Iterator[tuple[int, Span, str]]:
    """Every entity with its document and how it is written."""
    examples = own.examples
    for d, spans in enumerate(examples.entities):
        for span in spans:
            first, last = examples.bounds[d][span.start, 0], examples.bounds[d][span.end - 1, 1]
            yield d, span, examples.texts[d][first:last]


def repeated(own: OwnTags) -> list[Finding]:
    """SF101 and SF102: texts twice, with the same entities or with different ones."""
    places: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for d, words in enumerate(own.examples.words):
        if len(words) >= _LONG[own.unit]:
            places[tuple(words)].append(d)
    same, differing = [], []
    for some in places.values():
        if len(some) > 1:
            all_same = all(own.examples.entities[d] == own.examples.entities[some[0]] for d in some)
            (same if all_same else differing).append(some)
    found = []
    for code, some, how, do in (
        ("SF101", same, "with the same", _COPIES),
        ("SF102", differing, "with different", _ONE),
    ):
        if some:
            rows = [own.lines[d] for places in some for d in places]
            example = lines([own.lines[d] for d in some[0]])
            what = (
                f"{counted(len(some), 'text')} in {counted(len(rows), own.noun)} {how} entities, such as on {example}."
            )
            found.append(finding(code, what, do, rows, serious=code == "SF102"))
    return found


_COPIES = "Remove the copies: else a model is tested on texts that it was trained on."
_ONE = "Decide which annotation is right, or remove these: a model can only get one of them right."


def shared(own: OwnTags, others: Sequence[OwnTags]) -> list[Finding]:
    """SF103: texts of the first file that stand in another, such as the test file, too."""
    known = {tuple(words): d for d, words in enumerate(own.examples.words) if len(words) >= _LONG[own.unit]}
    found = []
    for other in others:
        pairs = [(known[key], d) for d, words in enumerate(other.examples.words) if (key := tuple(words)) in known]
        if pairs:
            here, there = own.lines[pairs[0][0]], other.lines[pairs[0][1]]
            what = (
                f"{counted(len(pairs), other.noun)} of {other.path} also in {own.path}, such as line {there} there and "
                f"line {here} here."
            )
            do = "Remove them from one of the files: scores on texts that were trained on are too good."
            found.append(finding("SF103", what, do, sorted({own.lines[d] for d, _ in pairs}), serious=True))
    return found


def unknown(own: OwnTags, shares: np.ndarray) -> list[Finding]:
    """SF107: texts of which a tokenizer knows little."""
    found = [own.lines[d] for d in np.flatnonzero(shares > _MOSTLY_UNKNOWN)]
    if len(found) <= _MANY * len(own.lines):
        return []
    what = (
        f"In {counted(len(found), own.noun)} of {len(own.lines):,} most pieces are unknown, such as on {lines(found)}."
    )
    do = "Take an encoder that was trained on this language, by --model."
    return [finding("SF107", what, do, found, serious=len(found) > len(own.lines) / 2)]


def single(own: OwnTags) -> list[Finding]:
    """SF201: one type only."""
    only, *others = own.types
    if others:
        return []
    do = "If there are to be others, look whether the file is whole; else it is fine."
    return [finding("SF201", f"All entities are of the type {only}.", do)]


def rare(own: OwnTags, folds: int) -> list[Finding]:
    """SF202: types that some folds have no entity of."""
    where: dict[str, list[int]] = defaultdict(list)
    for d, span, _ in entities(own):
        where[span.type].append(d)
    few = {name: some for name, some in sorted(where.items()) if len(set(some)) < folds}
    if not few:
        return []
    told = listed([f"{name} ({len(some)} in {len(set(some))})" for name, some in few.items()])
    what = f"{counted(len(few), 'type')} in fewer than {folds} {own.noun}s: {told}."
    do = "Annotate more of them, merge them with a type that is near, or leave them out."
    return [finding("SF202", what, do, sorted({own.lines[d] for some in few.values() for d in some}))]


def alike(own: OwnTags) -> list[Finding]:
    """SF203: types that are one, written in several ways."""
    forms: dict[str, list[str]] = defaultdict(list)
    for name in own.types:
        forms[plain(name)].append(name)
    several = [names for names in forms.values() if len(names) > 1]
    if not several:
        return []
    often = Counter(span.type for _, span, _ in entities(own))
    rarer = {name for names in several for name in sorted(names, key=often.__getitem__)[:-1]}
    told = "; ".join(" and ".join(repr(name) for name in names) for names in several[:4])
    rows = sorted({own.lines[d] for d, span, _ in entities(own) if span.type in rarer})
    do = "Write each type in one way: these are now different types."
    return [finding("SF203", f"{counted(len(several), 'type')} written in several ways: {told}.", do, rows)]


def few(own: OwnTags, folds: int) -> list[Finding]:
    """SF301: too few documents for a score to mean much."""
    n = len(own.lines)
    if n >= _FEW:
        return []
    what = f"There are {counted(n, own.noun)}; scores on so few are known to a tenth or worse."
    return [
        finding("SF301", what, f"Annotate more: with {_FEW} or more it begins to be worth it.", serious=n < 2 * folds)
    ]


def skipped(own: OwnTags) -> list[Finding]:
    """SF302: what is not looked at at all."""
    n = own.examples.n_skipped
    if not n:
        return []
    what = f"{counted(n, own.noun)} of {len(own.lines) + n:,} cannot be used and are left out."
    return [finding("SF302", what, "Without --skip-bad each is listed with what is wrong with it.")]


def cut_words(own: OwnTags) -> list[Finding]:
    """SF401: entities that begin or end within a word, which no tags of words can be."""
    lost = own.examples.n_unrepresented
    if not lost.total():
        return []
    rows = [own.lines[d] for d, some in enumerate(own.examples.unrepresented) if some]
    total = lost.total() + sum(1 for _ in entities(own))
    told = ", ".join(f"{name} {n:,}" for name, n in lost.most_common(4))
    what = (
        f"{lost.total():,} of {counted(total, 'entity', 'entities')} begin or end within a word ({told}), such as on "
    )
    do = "Look whether their offsets are right. If parts of words are meant, --unit=character finds them."
    return [finding("SF401", what + f"{lines(rows)}.", do, rows, serious=lost.total() > _SERIOUS * total)]


def cut_pieces(own: OwnTags, n_unparted: int) -> list[Finding]:
    """SF402: entities whose edge no emission tells from its neighbour."""
    if not n_unparted:
        return []
    total = sum(1 for _ in entities(own))
    what = (
        f"{n_unparted:,} of {counted(total, 'entity', 'entities')} have an edge within a piece of the tokenizer, where "
        "only the order of tags tells it."
    )
    do = "An encoder whose tokenizer has smaller pieces may suit better."
    return [finding("SF402", what, do, serious=n_unparted > 0.2 * total)]


def units16(own: OwnTags) -> list[Finding]:
    """SF403: offsets that fit only if they count UTF-16 units."""
    n, other = own.units16
    if not n:
        return []
    what = (
        f"{counted(n, 'entity', 'entities')} behind an emoji, or another character beyond U+FFFF, fit their text only "
        f"if starts and ends count UTF-16 units{f'; {other:,} fit only if they count characters' if other else ''}."
    )
    do = (
        "Write starts and ends in characters: in Python, len(text.encode('utf-16-le')[:2 * start].decode('utf-16-le'))."
    )
    return [finding("SF403", what, do, serious=True)]


def empty(own: OwnTags) -> list[Finding]:
    """SF404: documents in which nothing is annotated."""
    rows = [
        line
        for line, some, lost in zip(own.lines, own.examples.entities, own.examples.unrepresented, strict=True)
        if not some and not lost
    ]
    if len(rows) <= _EMPTY * len(own.lines):
        return []
    what = f"{counted(len(rows), own.noun)} of {len(own.lines):,} have no entity, such as on {lines(rows)}."
    do = "They are trained on as having none. If nobody has annotated them yet, leave them out."
    return [finding("SF404", what, do, rows)]


def forgotten(own: OwnTags) -> list[Finding]:
    """SF405: strings that are entities in some places, and in others outside of any."""
    written: dict[tuple[str, ...], str] = {}
    labelled: Counter[tuple[str, ...]] = Counter()
    for d, span, text in entities(own):
        words = tuple(own.examples.words[d][span.start : span.end])
        if sum(letter.isalpha() for letter in text) >= _SHORTEST[own.unit]:
            labelled[words] += 1
            written[words] = text
    known = Dictionary((words, "") for words in labelled)
    outside: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for d, words in enumerate(own.examples.words):
        inside = [place for span in own.examples.entities[d] for place in range(span.start, span.end)]
        for span in known.find(words, inside):
            outside[tuple(words[span.start : span.end])].append(d)
    left = {words: some for words, some in outside.items() if labelled[words] >= _LEFT * (labelled[words] + len(some))}
    if not left:
        return []
    order = sorted(left, key=lambda words: (-min(labelled[words], len(left[words])), words))
    told = "; ".join(
        f"{shown(written[words])} {counted(labelled[words], 'time')} an entity and {len(left[words]):,} not, such as "
        f"on {lines([own.lines[d] for d in left[words]], 1)}"
        for words in order[:_SHOWN]
    )
    n = sum(map(len, left.values()))
    places = "place" if n == 1 else "places"
    what = (
        f"{counted(len(left), 'string')} that is an entity elsewhere stands in {n:,} {places} outside of any: {told}."
    )
    if len(left) > 1:
        what = f"{len(left):,} strings that are entities elsewhere stand in {n:,} {places} outside of any: {told}."
    do = "Look whether these were forgotten: each is learnt as no entity, and counted as an error if it is found."
    rows = [own.lines[d] for words in order for d in left[words]]
    return [finding("SF405", what, do, rows)]


def ambiguous(own: OwnTags) -> list[Finding]:
    """SF406: strings that are entities of one type here and of another there."""
    types: dict[str, Counter[str]] = defaultdict(Counter)
    where: dict[str, list[int]] = defaultdict(list)
    for d, span, text in entities(own):
        types[text][span.type] += 1
        where[text].append(d)
    several = [text for text, some in types.items() if len(some) > 1]
    if not several:
        return []
    # How many would have to change for each string to have one type.
    several.sort(key=lambda text: (-(types[text].total() - max(types[text].values())), text))
    told = "; ".join(
        f"{shown(text)} ({', '.join(f'{name} {n:,}' for name, n in types[text].most_common())})"
        for text in several[:_SHOWN]
    )
    what = f"{counted(len(several), 'string')} with several types: {told}."
    do = "If the context does not say which it is, decide on one."
    return [finding("SF406", what, do, [own.lines[d] for text in several for d in where[text]])]


def windows(own: OwnTags, encoded: EncodedTags, length: int) -> list[Finding]:
    """SF407: documents that are longer than a model takes at once."""
    counts = np.bincount(encoded.document, minlength=len(own.lines))
    rows = [own.lines[d] for d in np.flatnonzero(counts > 1)]
    if not rows:
        return []
    n = counted(len(rows), own.noun)
    what = f"{n} of {len(own.lines):,} have more than {length} tokens, such as on {lines(rows)}."
    do = "They are read in windows that overlap, and no entity is lost; what tells two apart should stand near them."
    return [finding("SF407", what, do, rows)]


def scheme(own: OwnTags) -> list[Finding]:
    """SF408: tags that are well-formed in another scheme only."""
    if own.how.scheme == "iob2":
        return []
    n, total = own.starts
    named = own.how.scheme.upper()
    if own.how.scheme == "iob1" and n <= _SLIPS * total:
        what = f"{n:,} of {counted(total, 'entity', 'entities')} begin with I- where B- is expected; read as IOB1."
        return [finding("SF408", what, "Look whether their first word was forgotten.")]
    what = f"The tags fit {named} and not IOB2, and are read so."
    return [finding("SF408", what, "Nothing, if that is what they are; --scheme= says otherwise.")]


ALWAYS: tuple[Callable[[OwnTags], list[Finding]], ...] = (
    repeated,
    single,
    alike,
    skipped,
    cut_words,
    units16,
    empty,
    forgotten,
    ambiguous,
    scheme,
)
