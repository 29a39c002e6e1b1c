"""Documents as token arrays: where each word is read, with either kind of tokenizer, and windows put together again."""

import itertools
import json
import shutil

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from stablefit.data.encoding import load_tokenizer
from stablefit.data.tags.ner import TaggedExamples, read_spans
from stablefit.data.tags.tagging import Span, spans_to_tags, tag_names
from stablefit.data.tags.tagging_encoding import NO_TAG, encode_tags
from stablefit.errors import InputError

TAGS = tag_names(("X", "Y"), "iob2")
PIECES = ["<s>", "<pad>", "</s>", "<unk>", "▁", "试验", "试", "验", "战斗机", "F", "-22", "-", "2", "▁试验"]


@pytest.fixture(scope="module")
def wordpiece(tiny_root):
    return load_tokenizer(tiny_root / "model")


@pytest.fixture(scope="module")
def unigram(tmp_path_factory):
    """As of XLM-R: pieces span characters, and a mark stands in front of a word."""
    path = tmp_path_factory.mktemp("unigram")
    scores = [(piece, -1.0 if len(piece) > 1 else -2.0) for piece in PIECES]
    tokenizer = Tokenizer(models.Unigram(scores, unk_id=3))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.save(str(path / "tokenizer.json"))
    (path / "tokenizer_config.json").write_text(
        '{"tokenizer_class": "PreTrainedTokenizerFast", "cls_token": "<s>", "sep_token": "</s>", '
        '"pad_token": "<pad>", "unk_token": "<unk>"}'
    )
    return load_tokenizer(path)


def documents(*words, entities=None):
    texts = [list(one) if isinstance(one, str) else one for one in words]
    ids = [f"f:{i}" for i in range(len(texts))]
    return TaggedExamples.from_words(texts, entities or [[] for _ in texts], ids, characters=isinstance(words[0], str))


def read_at(encoded, tokenizer, n=0):
    """The piece that each word of a window is read at."""
    window = encoded.windows[n]
    return tokenizer.convert_ids_to_tokens(encoded.tokens[n, encoded.words[n, : window.end - window.start]].tolist())


def shown(encoded, tokenizer, n=0):
    return tokenizer.convert_ids_to_tokens(encoded.tokens[n, : encoded.lengths[n]].tolist())


def test_words_are_read_at_their_first_piece(wordpiece):
    encoded = encode_tags(documents(["w1", "w2-w3", "never", "w4"]), TAGS, wordpiece, 16)
    assert shown(encoded, wordpiece) == ["[CLS]", "w1", "w2", "[UNK]", "w3", "[UNK]", "w4", "[SEP]"]
    assert read_at(encoded, wordpiece) == ["w1", "w2", "[UNK]", "w4"]


def test_a_window_ends_as_texts_of_the_tokenizer_do(tmp_path, tiny_root):
    """XLNet's have both special tokens behind, the last of a type of its own."""
    tokenizer = Tokenizer.from_file(str(tiny_root / "model" / "tokenizer.json"))
    special = [("[CLS]", 2), ("[SEP]", 3)]
    tokenizer.post_processor = processors.TemplateProcessing(single="$A [SEP] [CLS]:2", special_tokens=special)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    shutil.copy(tiny_root / "model" / "tokenizer_config.json", tmp_path)
    behind = load_tokenizer(tmp_path)
    encoded = encode_tags(documents(["w1", "w2-w3", "w4"], ["w5"]), TAGS, behind, 16)
    assert shown(encoded, behind) == ["w1", "w2", "[UNK]", "w3", "w4", "[SEP]", "[CLS]"]
    assert read_at(encoded, behind) == ["w1", "w2", "w4"]
    assert encoded.types.tolist() == [[0, 0, 0, 0, 0, 0, 2, 0], [0, 0, 2, 0, 0, 0, 0, 0]]


def test_a_word_without_pieces_is_the_unknown_one(wordpiece):
    """A control character is dropped by BERT's normaliser; its place must not become another word's."""
    for pieces in ("word", "text"):
        encoded = encode_tags(
            documents(["\x00", "w1", "\x00", "\x00", "w2", "\x00"]), TAGS, wordpiece, 16, pieces=pieces
        )
        unknown = "[UNK]"
        assert read_at(encoded, wordpiece) == [unknown, "w1", unknown, unknown, "w2", unknown]
        assert len(set(encoded.words[0, :6].tolist())) == 6


def test_characters_of_a_unigram_tokenizer_are_fed_one_by_one(unigram):
    """Without the mark: fed as words, they would mostly be read at the same piece, the mark."""
    encoded = encode_tags(documents("试验F-22飞"), TAGS, unigram, 16, "character")
    assert shown(encoded, unigram) == ["<s>", "试", "验", "F", "-", "2", "2", "<unk>", "</s>"]
    assert read_at(encoded, unigram) == ["试", "验", "F", "-", "2", "2", "<unk>"]


def test_a_text_is_cut_as_it_stands_and_characters_share_pieces(unigram):
    encoded = encode_tags(documents("试验战斗机F-22"), TAGS, unigram, 16, "character", "text")
    assert shown(encoded, unigram) == ["<s>", "▁试验", "战斗机", "F", "-22", "</s>"]
    assert read_at(encoded, unigram) == ["▁试验"] * 2 + ["战斗机"] * 3 + ["F"] + ["-22"] * 3


@pytest.mark.parametrize("unit", ["character", "word"])
def test_the_text_of_json_lines_keeps_its_spaces(unigram, tmp_path, unit):
    """What the tokenizer is given does not depend on what a word is."""
    path = tmp_path / "data.jsonl"
    path.write_text('{"text": "试验 战斗机 F-22试验", "entities": []}\n', encoding="utf-8")
    encoded = encode_tags(read_spans(path, unit), TAGS, unigram, 16, unit, "text")
    assert shown(encoded, unigram) == ["<s>", "▁试验", "▁", "战斗机", "▁", "F", "-22", "试验", "</s>"]
    by_character = ["▁试验"] * 2 + ["战斗机"] * 3 + ["F"] + ["-22"] * 3 + ["试验"] * 2
    assert read_at(encoded, unigram) == (
        by_character if unit == "character" else ["▁试验", "战斗机", "F", "-22", "-22"]
    )


def test_full_width_forms_are_normalised(unigram):
    assert read_at(encode_tags(documents("Ｆ２"), TAGS, unigram, 16, "character"), unigram) == ["F", "2"]


@pytest.mark.parametrize("pieces", ["word", "text"])
@pytest.mark.parametrize("max_length", [5, 8, 13, 64])
def test_windows_are_put_together_again(unigram, pieces, max_length):
    """Every word has its own tag once, whatever the windows, and no entity is lost to the length limit."""
    rng = np.random.default_rng(max_length)
    texts = ["".join(rng.choice(list("试验战斗机F-2飞"), n)) for n in (1, 30, 7, 50)]
    entities = [[Span(0, 1, "X")], [Span(2, 29, "Y")], [], [Span(i, i + 2, "X") for i in range(0, 50, 2)]]
    encoded = encode_tags(documents(*texts, entities=entities), TAGS, unigram, max_length, "character", pieces)
    assert encoded.lengths.max() <= max_length
    assert (len(encoded) > 4) == (max_length < 50)
    tags = [spans_to_tags(spans, len(text), "iob2") for spans, text in zip(entities, texts, strict=True)]
    found = [[TAGS[i] for i in row[here]] for row, here in zip(encoded.tags, encoded.is_word, strict=True)]
    assert found == tags
    assert [TAGS[i] for i in encoded.targets] == list(itertools.chain(*tags))
    assert (encoded.labels != NO_TAG).sum() == sum(map(len, texts))
    emissions = np.random.default_rng(0).normal(size=(*encoded.words.shape, 3)).astype(np.float32)
    joined = encoded.joined(emissions)
    assert joined.shape == (4, 50, 3)
    np.testing.assert_array_equal(joined[encoded.is_word], emissions[encoded.labels != NO_TAG])


def test_no_word_is_read_at_a_special_piece(wordpiece):
    rng = np.random.default_rng(0)
    texts = [[f"w{i}" for i in rng.integers(0, 36, n)] for n in (3, 20, 9)]
    encoded = encode_tags(documents(*texts), TAGS, wordpiece, 8)
    read = np.take_along_axis(encoded.tokens, encoded.words, 1)[encoded.labels != NO_TAG]
    assert not set(wordpiece.convert_ids_to_tokens(read.tolist())) & {"[CLS]", "[SEP]", "[PAD]"}
    said = iter(wordpiece.convert_ids_to_tokens(read.tolist()))
    assert [next(said) for _ in range(32)] == list(itertools.chain(*texts))


def test_a_subset_is_what_its_documents_give(wordpiece):
    rng = np.random.default_rng(1)
    texts = [[f"w{i}" for i in rng.integers(0, 36, n)] for n in (3, 20, 9, 12)]
    whole = documents(*texts, entities=[[Span(0, 2, "X")]] * 4)
    part = encode_tags(whole, TAGS, wordpiece, 8).subset(np.array([1, 3]))
    alone = encode_tags(whole.subset([1, 3]), TAGS, wordpiece, 8)
    for name in ("tokens", "labels", "words", "document", "lengths", "tags", "targets"):
        np.testing.assert_array_equal(getattr(part, name), getattr(alone, name))


def test_a_word_longer_than_a_window_is_cut_and_counted(wordpiece):
    encoded = encode_tags(documents(["w1", "-".join(["w2"] * 9), "w3"]), TAGS, wordpiece, 8)
    assert encoded.n_truncated == 1
    assert encoded.lengths.max() == 8
    np.testing.assert_array_equal(encoded.is_word, np.ones((1, 3), bool))


def test_each_subset_counts_its_own_windows_that_were_cut(wordpiece):
    long = "-".join(["w2"] * 9)
    encoded = encode_tags(documents(["w1"], ["w1", long, "w3", long], ["w1"] * 20, [long]), TAGS, wordpiece, 8)
    assert encoded.n_truncated == encoded.cut.sum() == 3
    found = {n: encoded.subset(np.array([n])) for n in range(4)}
    assert [part.n_truncated for part in found.values()] == [0, 2, 0, 1]
    assert [part.cut.sum() for part in found.values()] == [0, 2, 0, 1]


@pytest.mark.parametrize("pieces", ["word", "text"])
def test_a_special_token_that_is_written_in_a_text_is_text(wordpiece, unigram, pieces):
    words = ["w1", "[SEP]", "[PAD]", "w2[CLS]"]
    encoded = encode_tags(documents(words), TAGS, wordpiece, 32, pieces=pieces)
    assert shown(encoded, wordpiece) == ["[CLS]", "w1", *["[UNK]"] * 6, "w2", *["[UNK]"] * 3, "[SEP]"]
    assert read_at(encoded, wordpiece) == ["w1", "[UNK]", "[UNK]", "w2"]
    # SentencePiece's special tokens are pieces as any other to its model.
    encoded = encode_tags(documents(["试验", "</s>", "<pad>试验", "<s>"]), TAGS, unigram, 32, pieces=pieces)
    inside = shown(encoded, unigram)[1:-1]
    assert not set(inside) & {"<s>", "</s>", "<pad>"}
    assert [piece for piece in inside if piece != "▁"] == ["▁试验", "<unk>", "<unk>", "试验", "<unk>"]


def test_a_character_that_is_a_special_token_is_unknown(tmp_path):
    names = {"cls_token": "^", "sep_token": "$", "pad_token": "#", "unk_token": "?"}
    tokenizer = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate("^$#?ab")}, unk_token="?"))
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **names}), encoding="utf-8"
    )
    loaded = load_tokenizer(tmp_path)
    assert shown(encode_tags(documents("a#b$"), TAGS, loaded, 8, "character"), loaded) == list("^a?b?$")


def test_no_room(wordpiece):
    with pytest.raises(InputError, match="max_length 2 leaves no room for text; at least 3"):
        encode_tags(documents(["w1"]), TAGS, wordpiece, 2)
