"""Documents with entities -> token arrays: windows, where each word is read, and the tag of each word."""

import dataclasses
import functools
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np

from stablefit.data.encoding import Encoded, Tokenizer, padded, table_width
from stablefit.data.tags.ner import TaggedExamples
from stablefit.data.tags.tagging import spans_to_tags
from stablefit.data.tags.windows import Window, first_pieces, join_windows, split_windows
from stablefit.data.tags.words import Unit
from stablefit.errors import InputError

Pieces = Literal["word", "text"]

NO_TAG = -1  # of a place that is no word, or a word that another window owns
_CHUNK = 2048  # documents tokenised at a time
_WORD_MARK = "▁"  # what SentencePiece puts in front of a word; no character of the text


@dataclasses.dataclass(frozen=True)
class EncodedTags(Encoded):
    """Windows over documents; an example is a window.

    Args:
        labels: int32 [N, W], the tags of the words that a window owns; NO_TAG elsewhere.
        words: int32 [N, W], the place in the window's tokens where each word is read; 0 where there is no word.
        document: int32 [N], the document that each window is of, ascending.
        windows: N windows; every word is owned by one.
        documents: what was encoded.
        cut: bool [N], the windows that lost pieces to the maximum length: each is one word that is longer than that.
    """

    words: np.ndarray
    document: np.ndarray
    windows: Sequence[Window]
    documents: TaggedExamples
    cut: np.ndarray

    @property
    def further(self) -> tuple[np.ndarray, ...]:
        return (self.words,)

    @property
    def targets(self) -> np.ndarray:
        """The tags of all words, document after document."""
        return self.tags[self.is_word]

    @property
    def content(self) -> tuple[np.ndarray, ...]:
        n_words = np.array([window.end - window.start for window in self.windows])
        real = np.arange(self.words.shape[1]) < n_words[:, None]
        tokens, types, lengths, _ = super().content
        # What words cannot show: which examples stay together, and what is scored beside the tags.
        beside = json.dumps([self.documents.groups, self.documents.unrepresented])
        arrays = self.labels[real], self.words[real], n_words, self.document, np.frombuffer(beside.encode(), np.uint8)
        return tokens, types, lengths, *arrays

    @functools.cached_property
    def tags(self) -> np.ndarray:
        """int32 [D, L]: the tags of each document's words; 0 behind the last."""
        return self.joined(self.labels)

    @functools.cached_property
    def is_word(self) -> np.ndarray:
        """bool [D, L]: the words of each document, up to the longest."""
        return self._sources >= 0

    def joined(self, values_NxW: np.ndarray) -> np.ndarray:
        """[D, L, ...]: the values of each document's words, each from the window that owns it; 0 behind the last.

        Args:
            values_NxW: [N, W, ...], such as the emissions.
        """
        flat = values_NxW.reshape(-1, *values_NxW.shape[2:])
        values = flat[np.maximum(self._sources, 0)]
        values[~self.is_word] = 0
        return values

    def subset(self, indices: np.ndarray) -> "EncodedTags":
        """The windows of these documents, in arrays of the same width."""
        picked = np.flatnonzero(np.isin(self.document, indices))
        arrays = ("tokens", "types", "segments", "labels", "lengths", "words", "cut")
        return EncodedTags(
            **{name: getattr(self, name)[picked] for name in arrays},
            n_truncated=int(self.cut[picked].sum()),
            document=np.searchsorted(indices, self.document[picked]).astype(np.int32),
            windows=[self.windows[i] for i in picked.tolist()],
            documents=self.documents.subset(indices),
        )

    @functools.cached_property
    def _sources(self) -> np.ndarray:
        """int32 [D, L]: where in the flattened [N * W] each document's words are; -1 behind the last."""
        width = self.words.shape[1]
        bounds = np.searchsorted(self.document, np.arange(len(self.documents) + 1))
        rows = []
        for first, last in itertools.pairwise(bounds):
            windows = self.windows[first:last]
            places = [n * width + np.arange(w.end - w.start) for n, w in enumerate(windows, start=int(first))]
            rows.append(join_windows(windows, places))
        return padded(rows, max(map(len, rows)), -1)


def encode_tags(
    documents: TaggedExamples,
    tags: Sequence[str],
    tokenizer: Tokenizer,
    max_length: int,
    unit: Unit = "word",
    pieces: Pieces = "word",
) -> EncodedTags:
    """Token arrays of the windows over the documents; neighbours share a quarter of the room.

    Args:
        documents: their entities must be of the types of `tags`.
        tags: IOB2, by id.
        tokenizer: from `load_tokenizer`.
        max_length: most tokens of a window, the special ones included.
        unit: what the words of the documents are; cut on its own, a character has no mark of a word's start.
        pieces: 'word' cuts every word into pieces on its own and reads it at its first; 'text' cuts the text as it
            stands, and reads a word at the piece that its first character is in, with others if a piece spans several.

    Raises:
        InputError: `max_length` leaves no room for a word.
    """
    room = max_length - 2
    if room < 1:
        raise InputError(f"max_length {max_length} leaves no room for text; at least 3 tokens are needed")
    ids = {tag: i for i, tag in enumerate(tags)}
    rows: list[_Row] = []
    before, behind, types = _around(tokenizer)
    for d, cut in enumerate(_cut(documents, tokenizer, unit, pieces)):
        counts = np.diff(cut.places, append=len(cut.ids))
        own = np.array([ids[tag] for tag in spans_to_tags(documents.entities[d], len(cut.places), "iob2")], np.int32)
        for window in split_windows(counts, room, room // 4):
            if window.own_start < window.own_end:
                rows.append(_row(d, window, cut, own, room, len(before)))
    cut_rows = np.array([row.cut for row in rows], bool)
    lengths = np.array([len(row.tokens) + 2 for row in rows], np.int32)
    width = table_width(lengths, max_length)
    tokens = padded([np.array([*before, *r.tokens, *behind]) for r in rows], width, tokenizer.pad_token_id)
    most = table_width(np.array([len(row.words) for row in rows]), max_length)
    return EncodedTags(
        tokens=tokens,
        types=padded([np.array([*[0] * (len(r.tokens) + len(before)), *types], np.int32) for r in rows], width, 0),
        segments=(np.arange(width)[None, :] < lengths[:, None]).astype(np.int32),
        labels=padded([row.labels for row in rows], most, NO_TAG),
        lengths=lengths,
        n_truncated=int(cut_rows.sum()),
        words=padded([row.words for row in rows], most, 0),
        document=np.array([row.document for row in rows], np.int32),
        windows=[row.window for row in rows],
        documents=documents,
        cut=cut_rows,
    )


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


class _Cut(NamedTuple):
    """The pieces of a document, and which of them each word is read at."""

    ids: list[int]
    places: np.ndarray  # [n_words], not descending


class _Row(NamedTuple):
    document: int
    window: Window
    tokens: list[int]
    words: np.ndarray
    labels: np.ndarray
    cut: bool


def _around(tokenizer: Tokenizer) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """The special tokens in front of a window, those behind it, and their types: XLNet has both behind."""
    own = (tokenizer.cls_token_id, tokenizer.sep_token_id)
    end = tokenizer.backend_tokenizer.encode("")
    if end.ids == [*own[::-1]]:
        return (), own[::-1], tuple(end.type_ids)
    return own[:1], own[1:], (0,)


def _row(d: int, window: Window, cut: _Cut, tags: np.ndarray, room: int, n_before: int) -> _Row:
    """A window's tokens, from the first word's piece to the last one's, without the special ones."""
    first, last = cut.places[window.start], cut.places[window.end - 1]
    stop = len(cut.ids) if window.end == len(cut.places) else max(last + 1, cut.places[window.end])
    word = np.arange(window.start, window.end)
    owned = (word >= window.own_start) & (word < window.own_end)
    tokens = cut.ids[first : min(stop, first + room)]
    places = cut.places[window.start : window.end] - first + n_before
    return _Row(d, window, tokens, places, np.where(owned, tags[word], NO_TAG), bool(stop - first > room))


def _cut(documents: TaggedExamples, tokenizer: Tokenizer, unit: Unit, pieces: Pieces) -> Iterator[_Cut]:
    """The pieces of every document, in their order; none of them is a special one.

    A tokenizer that has special tokens among its pieces, as SentencePiece's have, finds them in texts: these places
    become unknown.
    """
    special = set(tokenizer.all_special_ids)
    for cut in _all_cut(documents, tokenizer, unit, pieces):
        yield cut._replace(ids=[tokenizer.unk_token_id if piece in special else piece for piece in cut.ids])


def _all_cut(documents: TaggedExamples, tokenizer: Tokenizer, unit: Unit, pieces: Pieces) -> Iterator[_Cut]:
    spaced = _marks_spaces(tokenizer)
    for start in range(0, len(documents), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        texts = documents.words[chunk]
        if pieces == "text":
            yield from _cut_texts(documents.texts[chunk], documents.bounds[chunk], tokenizer)
        elif unit == "character":
            yield from _cut_characters(texts, tokenizer)
        else:
            given = [[f" {word}" for word in words] for words in texts] if spaced else texts
            found = tokenizer.backend_tokenizer.encode_batch(given, is_pretokenized=True, add_special_tokens=False)
            for words, one in zip(texts, found, strict=True):
                yield _with_unknown(one.ids, first_pieces(one.word_ids, len(words)), tokenizer)


def _marks_spaces(tokenizer: Tokenizer) -> bool:
    """Whether a word begins with its space, as in byte-level BPE: alone it would be the inside of another word."""
    alone, behind = (tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids for text in ("a", " a"))
    return alone != behind


def _cut_texts(texts: Sequence[str], bounds: Sequence[np.ndarray], tokenizer: Tokenizer) -> Iterator[_Cut]:
    """The texts as they stand, each word at the piece that its first character is in."""
    found = tokenizer.backend_tokenizer.encode_batch(texts, add_special_tokens=False)
    for text, words, one in zip(texts, bounds, found, strict=True):
        piece_of = np.full(len(text), -1, np.int64)
        # A later piece wins: SentencePiece's mark in front of a word lies on the word's first character too.
        for piece, (start, end) in enumerate(one.offsets):
            piece_of[start:end] = piece
        yield _with_unknown(one.ids, piece_of[words[:, 0]], tokenizer)


def _cut_characters(texts: Sequence[Sequence[str]], tokenizer: Tokenizer) -> Iterator[_Cut]:
    """Each character as it stands inside a text, without the mark that SentencePiece puts in front of a word."""
    backend, vocabulary = tokenizer.backend_tokenizer, tokenizer.get_vocab()
    known: dict[str, list[int]] = {}
    for character in {character for words in texts for character in words}:
        normal = backend.normalizer.normalize_str(character) if backend.normalizer else character
        ids = [i for i in backend.encode(character, add_special_tokens=False).ids if i != vocabulary.get(_WORD_MARK)]
        known[character] = [vocabulary[normal]] if normal in vocabulary else ids or [tokenizer.unk_token_id]
    for words in texts:
        ids = [known[word] for word in words]
        yield _Cut([i for word in ids for i in word], np.cumsum([0, *map(len, ids)])[:-1])


def _with_unknown(ids: list[int], places: np.ndarray, tokenizer: Tokenizer) -> _Cut:
    """Puts the unknown piece where a word has none, in front of the next word's."""
    ids, places = list(ids), places.astype(np.int64)
    for word in np.flatnonzero(places < 0):
        behind = places[word + 1 :]
        at = int(behind[behind >= 0][0]) if (behind >= 0).any() else len(ids)
        ids.insert(at, tokenizer.unk_token_id)
        behind += behind >= 0
        places[word] = at
    return _Cut(ids, places)
