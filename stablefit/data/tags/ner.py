"""Files of sentences or documents with entities -> `TaggedExamples`; every error names the file and the line."""

import dataclasses
import itertools
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stablefit.data.readers import read_text  # one way to read text, with one set of messages
from stablefit.data.tags.tagging import Scheme, Span, checked_spans, first_fault, strict_spans
from stablefit.data.tags.words import Unit, split_text
from stablefit.errors import InputError

_SPACES = re.compile(" +")
_STRAY_RETURN = re.compile(r"\r(?=[^\r\n])")
_BLANK = " \t\r"  # not all of Unicode's: an ideographic space may be a word of a Chinese file


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
    """

    words: list[list[str]]
    entities: list[list[Span]]
    ids: list[str]
    texts: list[str]
    bounds: list[np.ndarray]
    groups: list[int]
    unrepresented: list[tuple[str, ...]]

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
        lists = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return TaggedExamples(**{name: [values[i] for i in picked] for name, values in lists.items()})


def read_columns(path: str | Path, scheme: Scheme = "iob2", *, characters: bool = False) -> TaggedExamples:
    """A file of one word a line with its tag, as CoNLL's are: the first column is the word, the last one the tag.

    A blank line ends a sentence. Two or more lines that begin with -DOCSTART- say where documents begin. A line that
    holds a tab is split at tabs, so that a space can be a word, any other at spaces. Spaces around the tag are none of
    it.

    Args:
        path: a UTF-8 file.
        scheme: how its tags are meant; they must be well-formed in it.
        characters: whether every word must be one character.

    Raises:
        InputError: the file cannot be read so; the message starts with `file:line`.
    """
    path = Path(path)
    words: list[list[str]] = []
    entities: list[list[Span]] = []
    ids: list[str] = []
    groups: list[int] = []
    width = 0
    text = read_text(path)
    if (stray := _STRAY_RETURN.search(text)) is not None:
        line = text.count("\n", 0, stray.start()) + 1
        raise InputError(f"{path}:{line}: a carriage return within the line; end every line with LF or CR LF")
    for start, document, rows in _sentences(text):
        width = width or len(rows[0])
        for line, fields in enumerate(rows, start=start):
            _check_row(f"{path}:{line}", fields, width, characters)
        tags = [fields[-1] for fields in rows]
        if (fault := first_fault(tags, scheme)) is not None:
            raise InputError(f"{path}:{start + fault[0]}: {fault[1]}")
        words.append([sys.intern(fields[0]) for fields in rows])  # millions of lines hold few different words
        entities.append(strict_spans(tags, scheme))
        ids.append(f"{path.name}:{start}")
        groups.append(document)
    if not words:
        raise InputError(f"{path}: no sentences in it, expected lines of a word and its tag")
    if width > 2 and all(one == [str(i) for i in range(1, len(one) + 1)] for one in words):
        raise InputError(f"{path}: the first column counts the words of each sentence; cut it off, as by cut -f2-")
    named = groups if len(set(groups)) > 1 else None
    return TaggedExamples.from_words(words, entities, ids, named, characters=characters)


def _sentences(text: str) -> Iterator[tuple[int, int, list[list[str]]]]:
    """Every sentence's first line, counted from 1, its document, and its lines as columns."""
    rows: list[list[str]] = []
    number = document = 0
    for number, line in enumerate(text.split("\n"), start=1):
        columns = line.split("\t") if "\t" in line else _SPACES.split(line.strip(_BLANK))
        columns[-1] = columns[-1].strip(_BLANK)
        begins = columns[0] == "-DOCSTART-"
        if line.strip(_BLANK) and not begins:
            rows.append(columns)
        elif rows:
            yield number - len(rows), document, rows
            rows = []
        document += begins
    if rows:
        yield number + 1 - len(rows), document, rows


def _check_row(place: str, fields: list[str], width: int, characters: bool) -> None:
    if len(fields) < 2:
        raise InputError(f"{place}: 1 column, expected a word and its tag with a tab or a space between")
    if len(fields) != width:
        raise InputError(f"{place}: {len(fields)} columns, expected {width} as in the file's first line")
    if not fields[0]:
        raise InputError(f"{place}: no word before the tag")
    if characters and len(fields[0]) != 1:
        raise InputError(f"{place}: {fields[0]!r} is {len(fields[0])} characters, expected one a line")
    if (fault := _label_fault(fields[-1][2:])) is not None:
        raise InputError(f"{place}: tag {fields[-1]!r} has a label that {fault}")


def _label_fault(label: str) -> str | None:
    """Why a label is none: what cannot be seen would make a type of its own, beside the one that looks the same."""
    if not label.isprintable():
        hidden = next(character for character in label if not character.isprintable())
        return f"holds U+{ord(hidden):04X}, which does not print; expected a name in characters that print"
    if label != label.strip():
        return "begins or ends with a space; expected a name without"
    return None


def read_spans(path: str | Path, unit: Unit = "character") -> TaggedExamples:
    """A file of JSON lines, `{"text": ..., "entities": [{"label": ..., "start": ..., "end": ...}]}`.

    Starts and ends count the text's characters (Unicode code points) from 0; the end is exclusive. An entity's "text",
    where there is one, must be what stands there: a file that counts differently is found out by it. Other fields are
    not looked at. White space is no word, and is cut off an entity's ends. Entities that begin or end within a word are
    only counted. Blank lines are left out.

    Args:
        path: a UTF-8 file.
        unit: what a word is; see `split_text`.

    Raises:
        InputError: the file cannot be read so; the message starts with `file:line`.
    """
    path = Path(path)
    found = TaggedExamples(words=[], entities=[], ids=[], texts=[], bounds=[], groups=[], unrepresented=[])
    # Only a newline ends a line: str.splitlines would also cut at the U+2028 that texts hold.
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            text, spans = _document(line)
            words, bounds = split_text(text, unit)
            in_words = [(_in_words(text, span, bounds), span.type) for span in checked_spans(spans, len(text))]
        except InputError as error:
            raise InputError(f"{path}:{number}: {error}") from None
        found.words.append(words)
        found.entities.append([span for span, _ in in_words if span is not None])
        found.unrepresented.append(tuple(type_ for span, type_ in in_words if span is None))
        found.ids.append(f"{path.name}:{number}")
        found.texts.append(text)
        found.bounds.append(bounds)
        found.groups.append(len(found.groups))
    return found


def _document(line: str) -> tuple[str, list[Span]]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"not JSON: {error}") from None
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
    for i, entity in enumerate(_field(row, "entities", list, "the line"), start=1):
        where = f"entity {i}"
        start, end, label = (_field(entity, name, kind, where) for name, kind in _SPAN_FIELDS)
        span = Span(start, end, label.strip(_BLANK))
        if not span.type:
            raise InputError(f"{where} has the label {label!r}, expected a name")
        if (fault := _label_fault(span.type)) is not None:
            raise InputError(f"{where} has the label {label!r}, which {fault}")
        [span] = checked_spans([span], len(text))
        there = text[span.start : span.end]
        if entity.get("text", there) != there:
            raise InputError(f"{where} has the text {entity['text']!r}, but {span.start}:{span.end} holds {there!r}")
        spans.append(span)
    return text, spans


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
