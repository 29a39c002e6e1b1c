"""A person's own file of entities, as it is understood: which columns, which scheme, what a word is."""

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from stablefit.data import tasks
from stablefit.data.readers import read_text
from stablefit.data.tables.rows import counted
from stablefit.data.tags import column_files, json_documents, tagging_splits, utf16
from stablefit.data.tags.ner import TaggedExamples, check_labels, label_set
from stablefit.data.tags.tagging_splits import Reading
from stablefit.data.tags.words import Unit
from stablefit.errors import InputError

TASKS: dict[Unit, str] = {"word": "tagging", "character": "tagging_characters"}
SUFFIXES = (".bio", ".conll", ".iob", ".iob2")
_PEEK = 65_536  # bytes that show what a file is
_LEAST_LINES = 3
# Scripts that put no space between words, by how Unicode names their letters.
_UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")
_MOSTLY = 0.5  # share of letters


class Asked(NamedTuple):
    """What a person said of a file; empty fields are found.

    Args:
        word, tag: numbers of columns, from 1.
        scheme: iob2, iob1 or iobes.
        unit: what a word is: word or character.
        skip_bad: examples that cannot be read are left out and counted.
    """

    word: str = ""
    tag: str = ""
    scheme: str = ""
    unit: str = ""
    skip_bad: bool = False


class OwnTags(NamedTuple):
    """A file as it is understood.

    Args:
        path: the file.
        examples: N documents, or sentences.
        lines: of each the line it starts on.
        unit: what a word is.
        how: how it is read.
        said: sentences on what was found.
        units16: how many entities fit only if their offsets count UTF-16 units.
        starts: how many entities of a column file begin with I-, and how many there are; zeros elsewhere.
        columns: whether it is a file of columns.
        noun: what an example is, in words.
    """

    path: str
    examples: TaggedExamples
    lines: list[int]
    unit: Unit
    how: Reading
    said: tuple[str, ...]
    units16: utf16.Fitting
    starts: tuple[int, int]
    columns: bool
    noun: str

    @property
    def task(self) -> str:
        """The task of a config that reads it so."""
        return TASKS[self.unit]

    @property
    def types(self) -> tuple[str, ...]:
        """The types of entities that can be learnt."""
        return label_set(self.examples)


def holds_tags(place: str) -> bool:
    """Whether a file, or the training file of a folder, holds entities: by its name, or by how it begins."""
    path = Path(place).expanduser()
    if path.is_dir():
        names = tasks.TASKS["tagging"].files.train
        return any((path / name).is_file() and holds_tags(str(path / name)) for name in names)
    if path.suffix.lower() in SUFFIXES:
        return True
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        start = stream.read(_PEEK).removeprefix(b"\xef\xbb\xbf")
        if json_documents.begin(start):
            return json_documents.hold_entities((start + stream.readline()).decode("utf-8", "ignore"))
    lines = start.decode("utf-8", "ignore").split("\n")
    return _has_tags("\n".join(lines[:-1] if len(start) == _PEEK else lines))


def _has_tags(text: str) -> bool:
    found = list(column_files.sentences(text, comments=True))
    return sum(len(one.rows) for one in found) >= _LEAST_LINES and bool(column_files.tag_columns(found))


def read(place: str, asked: Asked = Asked()) -> list[OwnTags]:  # noqa: B008
    """The file, or those of a folder, the one for training first; the others are read as the first one is.

    Raises:
        InputError: one is missing or cannot be used; `TableError` for faulty examples.
    """
    path = Path(place).expanduser()
    if not path.exists():
        raise InputError(f"{path} is not there; give a file of tags, or a folder of train, dev and test files")
    task = tasks.TASKS["tagging"]
    files = {part: tasks.find_file(task, str(path), part) for part in ("train", "test", "dev")}
    if files["train"] is None:
        raise InputError(f"{path}: no training file; looked for {', '.join(task.files.train)}")
    first = understand(files["train"], asked)
    found = [first]
    for part in ("test", "dev"):
        if (file := files[part]) is not None:
            told = Asked(first.how.word, first.how.tag, first.how.scheme, first.unit, asked.skip_bad)
            other = understand(file, told if first.columns else told._replace(word="", tag="", scheme=""))
            check_labels(other.examples, first.types)
            found.append(other)
    return found


def understand(file: Path, asked: Asked = Asked()) -> OwnTags:  # noqa: B008
    """One file.

    Raises:
        InputError: it cannot be used; `TableError` for faulty examples.
    """
    if asked.unit and asked.unit not in TASKS:
        raise InputError(f"--unit={asked.unit} is not known; there are word and character")
    if asked.scheme and asked.scheme not in ("iob2", "iob1", "iobes"):
        raise InputError(f"--scheme={asked.scheme} is not known; there are iob2, iob1 and iobes")
    return _objects(file, asked) if tagging_splits.holds_objects(file) else _columns(file, asked)


def _columns(file: Path, asked: Asked) -> OwnTags:
    word, tag = (_number(name, value) for name, value in (("--text", asked.word), ("--label", asked.tag)))
    text = read_text(file)
    found = list(column_files.sentences(text, comments=bool(word)))
    if not found:
        raise InputError(f"{file}: no sentences in it, expected lines of a word and its tag")
    there = column_files.layout(str(file), found, word, tag)
    rows = [one.rows for one in found if all(len(row) == there.width for row in one.rows)]
    tags = [[row[there.tag] for row in one] for one in rows] if there.width > 1 else []
    scheme = asked.scheme or column_files.fitting(tags) or "iob2"
    how = Reading(scheme, _named(there.word, 0), _named(there.tag, there.width - 1), asked.skip_bad)  # pyright: ignore
    words = [row[there.word] for one in rows for row in one]
    single = bool(words) and all(len(one) == 1 for one in words)
    unit: Unit = asked.unit or ("character" if single else "word")  # pyright: ignore[reportAssignmentType]
    examples = tagging_splits.read_file(file, unit, how)
    starts = sum(t.startswith("I-") and (i == 0 or one[i - 1][2:] != t[2:]) for one in tags for i, t in enumerate(one))
    said = [column_files.described(there, "--label"), f"tags: {scheme.upper()}"]
    if single and unit == "character":
        said.append("every word is one character, and they are read as a text without spaces")
    return _understood(file, examples, unit, how, said, utf16.Fitting(0, 0), (starts, _n_entities(examples)), True)


def _number(name: str, value: str) -> int | None:
    if value and not (value.isascii() and value.isdecimal() and len(value) < 9 and int(value)):
        raise InputError(f"{name}={value[:40]}: a file of tags has no names of columns; give a number, from 1")
    return int(value) - 1 if value else None


def _named(column: int, default: int) -> str:
    """A column as a config has it, which leaves out what is read anyway."""
    return "" if column == default else str(column + 1)


def _objects(file: Path, asked: Asked) -> OwnTags:
    for name, value in (("--text", asked.word), ("--label", asked.tag), ("--scheme", asked.scheme)):
        if value:
            raise InputError(f"{name}={value}: {file} is no file of columns, whose entities have starts and ends")
    how = Reading(skip_bad=asked.skip_bad)
    count = _utf16_of(file)
    as_units = bool(count.only_utf16) and not count.only_characters
    try:
        examples = tagging_splits.read_file(file, "character", how)
        as_units = False  # no text contradicts it
    except InputError:
        if not as_units:
            raise
        examples = tagging_splits.read_file(file, "character", how, units16=True)
    unit: Unit = asked.unit or ("character" if _is_unspaced(examples.texts) else "word")  # pyright: ignore
    if unit == "word":
        examples = tagging_splits.read_file(file, unit, how, units16=as_units)
    what = "single characters" if unit == "character" else "runs of letters and digits, and other signs alone"
    said = [json_documents.described(file), f"words are {what}"]
    if n := json_documents.n_declined(file):
        said.append(f"{counted(n, 'document')} left out, whose answer is reject or ignore")
    if as_units:
        said.append("starts and ends are read as UTF-16 units here; training refuses them")
    return _understood(file, examples, unit, how, said, count, (0, 0), False)


def _utf16_of(file: Path) -> utf16.Fitting:
    """The entities of a file that fit in one way of counting alone; of lines that can be read."""
    total = utf16.Fitting(0, 0)
    for _, row in json_documents.rows(file):
        if not isinstance(row, dict) or not isinstance(row.get("text"), str):
            continue
        there = row.get(json_documents.field(row))
        entities = [one for one in there if _is_span(one)] if isinstance(there, list) else []
        one = utf16.fitting(row["text"], entities)
        total = utf16.Fitting(*(a + b for a, b in zip(total, one, strict=True)))
    return total


def _is_span(entity: Any) -> bool:
    return isinstance(entity, Mapping) and all(type(entity.get(name)) is int for name in ("start", "end"))


def _is_unspaced(texts: Sequence[str]) -> bool:
    """Whether most letters are of scripts without spaces between words."""
    letters = Counter(character for text in texts for character in text if character.isalpha())
    unspaced = sum(n for letter, n in letters.items() if unicodedata.name(letter, "").startswith(_UNSPACED))
    return unspaced > _MOSTLY * letters.total()


def _understood(
    file: Path,
    examples: TaggedExamples,
    unit: Unit,
    how: Reading,
    said: list[str],
    count: utf16.Fitting,
    starts: tuple[int, int],
    columns: bool,
) -> OwnTags:
    if not label_set(examples):
        raise InputError(f"{file}: no entities in it, so there is nothing to learn")
    noun = "sentence" if columns else "document"
    types = Counter(span.type for spans in examples.entities for span in spans)
    words = sum(map(len, examples.words))
    told = ", ".join(f"{name} {n:,}" for name, n in types.most_common(8)) + (", ..." if len(types) > 8 else "")
    said.append(
        f"{counted(len(examples), noun)} of {counted(words, unit)}, "
        f"{counted(types.total(), 'entity', 'entities')} of {counted(len(types), 'type')}: {told}"
    )
    documents = len(set(examples.groups))
    if columns and 1 < documents < len(examples):
        said.append(f"-DOCSTART- parts them into {documents:,} documents")
    if examples.n_skipped:
        said.append(f"{counted(examples.n_skipped, noun)} left out as faulty")
    lines = [int(name.rsplit(":", 1)[1]) for name in examples.ids]
    return OwnTags(str(file), examples, lines, unit, how, tuple(said), count, starts, columns, noun)


def _n_entities(examples: TaggedExamples) -> int:
    return sum(map(len, examples.entities))
