"""Tokenizers as the families have them: byte-level BPE, SentencePiece's, and files that contradict each other."""

import json

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import XLNetTokenizer

from stablefit.data import built_tokenizer
from stablefit.data.encoding import described, encode, load_tokenizer
from stablefit.data.readers import Examples
from stablefit.data.tags.ner import TaggedExamples
from stablefit.data.tags.tagging_encoding import encode_tags

TEXTS = ["low lower lowest new newer wide", "the low tree grew wider", "naïve café 12"] * 3
ROBERTA = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def write(folder, tokenizer, named, special, **more):
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": named, **special, **more}))
    (folder / "config.json").write_text(json.dumps({"model_type": "roberta"}))
    return folder


@pytest.fixture(scope="module")
def roberta(tmp_path_factory):
    """A byte-level BPE; its special tokens are said by no file beside tokenizer.json, as in RoBERTa's own."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=ROBERTA, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return write(tmp_path_factory.mktemp("roberta"), tokenizer, "RobertaTokenizer", {})


@pytest.fixture(scope="module")
def sentencepiece(tmp_path_factory):
    """Unigram behind NFKC, as XLM-R, ALBERT and DeBERTa have it."""
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=60, special_tokens=special, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    roles = {"cls_token": "<s>", "sep_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    return write(tmp_path_factory.mktemp("unigram"), tokenizer, "PreTrainedTokenizerFast", roles)


def examples(texts_a, texts_b=None):
    return Examples(texts_a, texts_b, np.zeros(len(texts_a), np.float32), [])


@pytest.mark.parametrize("kept", [False, True])
def test_pairs_without_token_types(roberta, sentencepiece, kept, tmp_path):
    for folder in (roberta, sentencepiece):
        tokenizer = load_tokenizer(folder)
        assert (tokenizer.cls_token_id, tokenizer.pad_token_id, tokenizer.sep_token_id) == (0, 1, 2)
        if kept:
            built_tokenizer.write(tmp_path, tokenizer)
            tokenizer = built_tokenizer.read(tmp_path)
            assert tokenizer is not None
        encoded = encode(examples(["low tree"], ["wider"]), tokenizer, 32)
        length = int(encoded.lengths[0])
        tokens = encoded.tokens[0, :length].tolist()
        assert [i for i, token in enumerate(tokens) if token == 2][1] - tokens.index(2) == 1  # </s></s>
        assert (tokens[0], tokens[-1]) == (0, 2)
        assert not encoded.types.any()
        assert set(encoded.tokens[0, length:].tolist()) <= {1}


def test_xlnets_own_tokenizer(tmp_path):
    """Both special tokens stand behind, the last of a type of its own; we pad on the right all the same."""
    special = ["<unk>", "<s>", "</s>", "<cls>", "<sep>", "<pad>", "<mask>", "<eod>", "<eop>"]
    words = [("▁low", -1.0), ("▁tree", -1.5), ("▁", -3.0), ("t", -4.0)]
    XLNetTokenizer(vocab=[(piece, 0.0) for piece in special] + words).save_pretrained(tmp_path)
    tokenizer = load_tokenizer(tmp_path, 13)
    encoded = encode(examples(["low tree", "low"], ["low", "tree"]), tokenizer, 16)
    assert encoded.tokens.tolist() == [[9, 10, 4, 9, 4, 3, 5, 5], [9, 4, 10, 4, 3, 5, 5, 5]]
    assert encoded.types.tolist() == [[0, 0, 0, 1, 1, 2, 0, 0], [0, 0, 1, 1, 2, 0, 0, 0]]


def test_a_words_piece_begins_with_its_space(roberta, sentencepiece):
    """As in running text; a word alone would be the inside of another."""
    for folder in (roberta, sentencepiece):
        tokenizer = load_tokenizer(folder)
        text = "the low tree grew wider"
        running = tokenizer.backend_tokenizer.encode(f" {text}", add_special_tokens=False).ids
        words = text.split()
        documents = TaggedExamples([words], [[]], [""], [text], [np.zeros((5, 2), int)], [0], [()])
        encoded = encode_tags(documents, ["O"], tokenizer, 40)
        assert encoded.tokens[0, 1 : 1 + len(running)].tolist() == running
        pieces = [tokenizer.backend_tokenizer.id_to_token(i) for i in encoded.tokens[0, encoded.words[0, :5]].tolist()]
        assert all(piece[0] in "Ġ▁" for piece in pieces), pieces


def test_a_text_of_any_characters_is_cut_by_bytes(roberta):
    tokenizer = load_tokenizer(roberta)
    encoded = encode(examples(["日本 🙂"]), tokenizer, 64)
    assert tokenizer.decode(encoded.tokens[0], skip_special_tokens=True) == "日本 🙂"


def wordpiece(folder, lowers, normalizer, **stated):
    tokenizer = Tokenizer(models.WordPiece({w: i for i, w in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = [("[CLS]", 2), ("[SEP]", 3)]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=special)
    roles = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]"}
    return write(folder, tokenizer, "BertTokenizer", roles, **stated)


VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "Apple", "apple", "1", "１"]


def test_the_files_normaliser_decides(tmp_path):
    """BertTokenizer builds its own: NFKC would be dropped, and `Apple` become `apple`."""
    cased = wordpiece(tmp_path / "cased", False, normalizers.BertNormalizer(lowercase=False))
    compatible = wordpiece(tmp_path / "nfkc", False, normalizers.Sequence([normalizers.NFKC()]), do_lower_case=True)
    lowered = wordpiece(tmp_path / "lower", True, normalizers.BertNormalizer(lowercase=True), do_lower_case=False)
    found = {}
    for folder in (cased, compatible, lowered):
        tokenizer = load_tokenizer(folder)
        encoded = encode(examples(["Apple １"]), tokenizer, 16)
        pieces = [VOCABULARY[i] for i in encoded.tokens[0, 1:3].tolist()]
        found[folder.name] = (pieces, described(tokenizer, folder))
    assert found == {
        "cased": (["Apple", "１"], "WordPiece, case is kept"),
        "nfkc": (
            ["Apple", "1"],
            "WordPiece, case is kept: tokenizer.json decides, tokenizer_config.json says do_lower_case=true",
        ),
        "lower": (
            ["apple", "１"],
            "WordPiece, lower-cased: tokenizer.json decides, tokenizer_config.json says do_lower_case=false",
        ),
    }
