"""Files of sentences or documents with entities -> `TaggedExamples`; every error names the file and the line."""

import dataclasses
import itertools
import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stablefit.data.readers import read_text  # one way to read text, with one set of messages
from stablefit.data.tables import prodigy
from stablefit.data.tables.rows import Fault, TableError
from stablefit.data.tags import column_files, json_documents, utf16
from stablefit.data.tags.tagging import Scheme, Span, checked_spans, first_fault, strict_spans
from stablefit.data.tags.words import Unit, split_text
from stablefit.errors import InputError

_STRAY_RETURN = re.compile(r"\r(?=[^\r\n])")


@dataclasses.dataclass(frozen=True)
class TaggedExamples:
    """Sentences or documents of words, with the entities in them. Every field is a list with an item an example.

    Args:
        words: lists of words; a word is one character where the reader was told so.
        entities: lists of spans of words, in order, none sharing a word with another.
        ids: names of where an example starts, `file:line`.
        texts: what the words stand in.
        bounds: int32 [n_words, 2], each word's start and exclusive end in its text, ascending.
        groups: numbers of the documents that examples are of; each its own where the file names no documents.
        unrepresented: the types of further entities, those that begin or end within a word. No words are theirs alone:
            theirs are outside of entities, O in training, and no prediction can hit them.
        n_skipped: how many examples of the file were left out as faulty; not a list.
    """

    words: list[list[str]]
    entities: list[list[Span]]
    ids: list[str]
    texts: list[str]
    bounds: list[np.ndarray]
    groups: list[int]
    unrepresented: list[tuple[str, ...]]
    n_skipped: int = 0

    @classmethod
    def from_words(
        cls,
        words: list[list[str]],
        entities: list[list[Span]],
        ids: list[str],
        groups: list[int] | None = None,
        *,
        characters: bool = False,
    ) -> "TaggedExamples":
        """Examples without a text of their own: it is the words with a space between, or none between characters.

        Without `groups` each is its own document.

        >>> examples = TaggedExamples.from_words([["EU", "rejects"]], [[]], ["f:1"])
        >>> examples.texts, examples.bounds[0].tolist()
        (['EU rejects'], [[0, 2], [3, 10]])
        """
        space = "" if characters else " "
        bounds = []
        for one in words:
            lengths = np.array([len(word) for word in one], np.int32)
            ends = np.cumsum(lengths + len(space), dtype=np.int32) - len(space)
            bounds.append(np.stack([ends - lengths, ends], axis=1))
        groups = list(range(len(words))) if groups is None else groups
        return cls(words, entities, ids, [space.join(one) for one in words], bounds, groups, [()] * len(words))

    def __len__(self) -> int:
        return len(self.words)

    @property
    def n_unrepresented(self) -> Counter[str]:
        """How many entities of each type begin or end within a word."""
        return Counter(itertools.chain.from_iterable(self.unrepresented))

    def subset(self, indices: Sequence[int] | np.ndarray) -> "TaggedExamples":
        """The examples at these positions, in their order."""
        picked = np.asarray(indices, dtype=np.int64).tolist()
        names = [field.name for field in dataclasses.fields(self) if field.name != "n_skipped"]
        lists: dict[str, Any] = {name: [getattr(self, name)[i] for i in picked] for name in names}
        return TaggedExamples(**lists)


def read_columns(
    path: str | Path,
    scheme: Scheme = "iob2",
    *,
    characters: bool = False,
    word: int = 0,
    tag: int = -1,
    skip_bad: bool = False,
) -> TaggedExamples:
    """A file of one word a line with its tag, as CoNLL's are: the first column is the word, the last one the tag.

    A blank line ends a sentence. Two or more lines that begin with -DOCSTART- say where documents begin. A line that
    holds a tab is split at tabs, so that a space can be a word, any other at spaces. Spaces around the tag are none of
    it. Where the word is not in the first column, lines that begin with # are comments.

    Args:
        path: a UTF-8 file.
        scheme: how its tags are meant; they must be well-formed in it.
        characters: whether every word must be one character.
        word, tag: the columns of both, counted from 0; below 0 from the last on.
        skip_bad: sentences that cannot be read are left out and counted, not refused.

    Raises:
        InputError: the file cannot be read so; the message starts with `file:line`. Of several faulty sentences it is a
            `TableError`.
    """
    path = Path(path)
    text = read_text(path)
    if (stray := _STRAY_RETURN.search(text)) is not None:
        line = text.count("\n", 0, stray.start()) + 1
        raise InputError(f"{path}:{line}: a carriage return within the line; end every line with LF or CR LF")
    found = list(column_files.sentences(text, comments=word > 0))
    if not found:
        raise InputError(f"{path}: no sentences in it, expected lines of a word and its tag")
    width = len(found[0].rows[0])
    if max(word, tag) >= width > 1:
        raise InputError(f"{path}: column {max(word, tag) + 1} is asked for; the file has {width} columns")
    _check_words(path, [[row[word] for row in one.rows if len(row) > word] for one in found], width)
    good: list[column_files.Sentence] = []
    faults: list[Fault] = []
    for one in found:
        fault = _fault(one, width, characters, word, tag, scheme)
        if fault is None:
            good.append(one)
        else:
            faults.append(fault)
    if faults and (not skip_bad or not good):
        raise TableError(str(path), _with_hint(faults, found, width, tag, scheme))
    tags = [[row[tag] for row in one.rows] for one in good]
    documents = [one.document for one in good]
    examples = TaggedExamples.from_words(
        # Millions of lines hold few different words.
        [[sys.intern(row[word]) for row in one.rows] for one in good],
        [strict_spans(one, scheme) for one in tags],
        [f"{path.name}:{one.line}" for one in good],
        documents if len(set(documents)) > 1 else None,
        characters=characters,
    )
    return dataclasses.replace(examples, n_skipped=len(faults))


def _check_words(path: Path, words: list[list[str]], width: int) -> None:
    """Refuses a column that counts, and words that do."""
    if width > 2 and all(one == [str(i) for i in range(1, len(one) + 1)] for one in words):
        raise InputError(f"{path}: the first column counts the words of each sentence; cut it off, as by cut -f2-")
    if column_files.numbered(words):
        raise InputError(
            f"{path}: every word ends with its number, as {words[0][0]!r} does; new texts will not: cut it off"
        )


def _fault(
    sentence: column_files.Sentence, width: int, characters: bool, word: int, tag: int, scheme: Scheme
) -> Fault | None:
    """The first thing that is wrong with a sentence."""
    for line, fields in enumerate(sentence.rows, start=sentence.line):
        if (what := _row_fault(fields, width, characters, word, tag)) is not None:
            return Fault(line, what)
    fault = first_fault([fields[tag] for fields in sentence.rows], scheme)
    return None if fault is None else Fault(sentence.line + fault[0], fault[1])


def _with_hint(
    faults: list[Fault], found: Sequence[column_files.Sentence], width: int, tag: int, scheme: Scheme
) -> list[Fault]:
    """The faults, the first of which says so if all tags of the file fit another scheme."""
    if any(len(row) != width for one in found for row in one.rows) or width < 2:
        return faults
    tags = [[row[tag] for row in one.rows] for one in found]
    other, names = column_files.fitting(tags), column_files.renamed(tags)
    hint = f"; all tags of the file fit {other}: set tag_scheme={other}" if other and other != scheme else ""
    if names:
        hint = f"; all tags of the file fit iobes with {names}: write them so, and set tag_scheme=iobes"
    first, *rest = sorted(faults)
    return [first._replace(what=first.what + hint), *rest]


def _row_fault(fields: list[str], width: int, characters: bool, word: int, tag: int) -> str | None:
    if len(fields) < 2:
        return "1 column, expected a word and its tag with a tab or a space between"
    if len(fields) != width:
        return f"{len(fields)} columns, expected {width} as in the file's first line"
    if not fields[word]:
        return "no word before the tag"
    if characters and len(fields[word]) != 1:
        return f"{fields[word]!r} is {len(fields[word])} characters, expected one a line"
    if (fault := _label_fault(fields[tag][2:])) is not None:
        return f"tag {fields[tag]!r} has a label that {fault}"
    return None


def _label_fault(label: str) -> str | None:
    """Why a label is none: what cannot be seen would make a type of its own, beside the one that looks the same."""
    if not label.isprintable():
        hidden = next(character for character in label if not character.isprintable())
        return f"holds U+{ord(hidden):04X}, which does not print; expected a name in characters that print"
    if label != label.strip():
        return "begins or ends with a space; expected a name without"
    return None


def read_spans(
    path: str | Path, unit: Unit = "character", *, units16: bool = False, skip_bad: bool = False
) -> TaggedExamples:
    """A file of JSON lines, `{"text": ..., "entities": [{"label": ..., "start": ..., "end": ...}]}`.

    An array of such objects will do as well. Prodigy's `spans` are read as `entities`, and its tasks that were rejected
    or ignored are left out.

    Starts and ends count the text's characters (Unicode code points) from 0; the end is exclusive. An entity's "text",
    where there is one, must be what stands there: a file that counts differently is found out by it. Other fields are
    not looked at. White space is no word, and is cut off an entity's ends. Entities that begin or end within a word are
    only counted. Blank lines are left out.

    Args:
        path: a UTF-8 file.
        unit: what a word is; see `split_text`.
        units16: whether starts and ends count UTF-16 units instead.
        skip_bad: lines that cannot be read are left out and counted, not refused.

    Raises:
        InputError: the file cannot be read so; the message starts with `file:line`. Of faulty lines it is a
            `TableError`.
    """
    path = Path(path)
    found = TaggedExamples(words=[], entities=[], ids=[], texts=[], bounds=[], groups=[], unrepresented=[])
    faults: list[Fault] = []
    for number, row in json_documents.rows(path):
        try:
            text, words, bounds, in_words = _line(row, unit, units16)
        except InputError as error:
            faults.append(Fault(number, str(error) + ("" if units16 else _hint(row, unit))))
            continue
        found.words.append(words)
        found.entities.append([span for span, _ in in_words if span is not None])
        found.unrepresented.append(tuple(type_ for span, type_ in in_words if span is None))
        found.ids.append(f"{path.name}:{number}")
        found.texts.append(text)
        found.bounds.append(bounds)
        found.groups.append(len(found.groups))
    if faults and (not skip_bad or not found.words):
        raise TableError(str(path), faults)
    if not found.words:
        raise InputError(f"{path}: no documents in it, expected objects with text and entities")
    return dataclasses.replace(found, n_skipped=len(faults))


def _line(row: Any, unit: Unit, units16: bool) -> tuple[str, list[str], np.ndarray, list[tuple[Span | None, str]]]:
    """Text, words, their bounds, and each entity in words with its type."""
    text, spans = _document(row, units16)
    words, bounds = split_text(text, unit)
    return text, words, bounds, [(_in_words(text, one, bounds), one.type) for one in checked_spans(spans, len(text))]


def _hint(row: Any, unit: Unit) -> str:
    """Says so if a faulty line is none when its starts and ends are taken for UTF-16 units."""
    try:
        text, *_ = _line(row, unit, True)
    except InputError:
        return ""
    return "; counted in UTF-16 units it fits: write starts and ends in characters" if utf16.has_pairs(text) else ""


def _document(row: Any, units16: bool) -> tuple[str, list[Span]]:
    if isinstance(row, InputError):
        raise row
    text = _field(row, "text", str, "the line")
    if not text.strip():
        raise InputError("text is empty, expected one with words")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"character {error.start} of the text is half of a surrogate pair; write both halves"
        ) from None
    spans = []
    name = json_documents.field(row)
    there = [] if name not in row and prodigy.is_task(row) else _field(row, name, list, "the line")
    for i, entity in enumerate(there, start=1):
        where = f"entity {i}"
        start, end, label = (_field(entity, name, kind, where) for name, kind in _SPAN_FIELDS)
        if units16:
            start, end = (_converted(text, offset, where) for offset in (start, end))
        span = Span(start, end, label.strip(column_files.BLANK))
        if not span.type:
            raise InputError(f"{where} has the label {label!r}, expected a name")
        if (fault := _label_fault(span.type)) is not None:
            raise InputError(f"{where} has the label {label!r}, which {fault}")
        [span] = checked_spans([span], len(text))
        held = text[span.start : span.end]
        if entity.get("text", held) != held:
            raise InputError(f"{where} has the text {entity['text']!r}, but {span.start}:{span.end} holds {held!r}")
        spans.append(span)
    return text, spans


def _converted(text: str, offset: int, where: str) -> int:
    place = utf16.converted(text, offset)
    if place is None:
        raise InputError(f"{where} has an edge at {offset}, which is no place between characters in UTF-16 units")
    return place


_SPAN_FIELDS = (("start", int), ("end", int), ("label", str))


def _field(row: Any, name: str, kind: type, where: str) -> Any:
    if not isinstance(row, dict):
        raise InputError(f"{where} is {type(row).__name__}, expected an object with {name!r}")
    if name not in row:
        raise InputError(f"{where} has no {name!r}; found: {', '.join(map(repr, row)) or 'nothing'}")
    if not isinstance(row[name], kind) or isinstance(row[name], bool):
        raise InputError(f"{name!r} of {where} is {row[name]!r:.40}, expected {kind.__name__}")
    return row[name]


def _in_words(text: str, span: Span, bounds: np.ndarray) -> Span | None:
    """The span counted in words; None if it begins or ends within one."""
    there = text[span.start : span.end]
    start = span.start + len(there) - len(there.lstrip())
    end = span.end - len(there) + len(there.rstrip())
    if start >= end:
        raise InputError(f"entity {span.type} at {span.start}:{span.end} is white space alone")
    first, last = np.searchsorted(bounds[:, 0], start), np.searchsorted(bounds[:, 1], end)
    if bounds[min(first, len(bounds) - 1), 0] != start or bounds[min(last, len(bounds) - 1), 1] != end:
        return None
    return Span(int(first), int(last) + 1, span.type)


def label_set(examples: TaggedExamples) -> tuple[str, ...]:
    """The types of entities that occur, sorted: of the training set, those that a model can learn.

    A type that only unrepresented entities have is none of them.

    >>> label_set(TaggedExamples.from_words([["a", "b"]], [[Span(0, 1, "PER"), Span(1, 2, "LOC")]], ["f:1"]))
    ('LOC', 'PER')
    """
    return tuple(sorted({span.type for spans in examples.entities for span in spans}))


def check_labels(examples: TaggedExamples, known: Sequence[str]) -> None:
    """Every entity's type must be one of the `known`; unrepresented ones are misses, whatever their type.

    Raises:
        InputError: an entity has another type; the message names the file, the line of its example, and the entity.
    """
    for words, spans, place in zip(examples.words, examples.entities, examples.ids, strict=True):
        for span in spans:
            if span.type not in known:
                raise InputError(
                    f"{place}: entity {' '.join(words[span.start : span.end])!r:.60} has the label {span.type!r}, "
                    f"which no entity that training can learn from has; its labels are: {', '.join(known)}"
                )
