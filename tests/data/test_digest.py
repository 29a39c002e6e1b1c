"""What data is other data: every token, type, label and place of a word counts, the width of the arrays does not."""

import dataclasses

import numpy as np
import pytest

from stablefit.data.digest import digest_of
from stablefit.data.encoding import encode, load_tokenizer
from stablefit.data.readers import Examples
from stablefit.data.tags.ner import TaggedExamples
from stablefit.data.tags.tagging import Span, tag_names
from stablefit.data.tags.tagging_encoding import NO_TAG, encode_tags


@pytest.fixture(scope="module")
def tokenizer(tiny_root):
    return load_tokenizer(tiny_root / "model")


def pairs(tokenizer, first=("w1", "w2 w3"), second=("w4", "w5"), labels=(0, 1)):
    names = [str(i) for i in range(len(first))]
    return encode(Examples(list(first), list(second), np.array(labels, np.int32), names), tokenizer, 16)


def tagged(tokenizer, words=("w1", "w2", "w3"), entity=(0, 1, "X"), types=("X", "Y"), groups=None, lost=()):
    documents = TaggedExamples.from_words([list(words), ["w4"]], [[Span(*entity)], []], ["f:1", "f:2"], groups)
    documents = dataclasses.replace(documents, unrepresented=[lost, ()])
    return encode_tags(documents, tag_names(types, "iob2"), tokenizer, 16)


def mark(one, labels=("no", "yes"), **others):
    return digest_of({"train": one, **others}, labels).digest


def wider(array, fill):
    return np.pad(array, ((0, 0), (0, 8)), constant_values=fill)


def test_equal_data_has_one_digest_whatever_its_width(tokenizer):
    one = pairs(tokenizer)
    assert mark(one) == mark(pairs(tokenizer))
    padded = {"tokens": wider(one.tokens, 3), "types": wider(one.types, 0), "segments": wider(one.segments, 0)}
    assert mark(dataclasses.replace(one, **padded)) == mark(one)
    one = tagged(tokenizer)
    padded = {"labels": wider(one.labels, NO_TAG), "words": wider(one.words, 0)}
    assert mark(dataclasses.replace(one, **padded)) == mark(one)


def test_what_makes_it_other_data(tokenizer):
    one = pairs(tokenizer)
    others = [
        pairs(tokenizer, first=("w1", "w2 w6")),
        pairs(tokenizer, first=("w1 w4", "w2 w3"), second=("", "w5")),
        pairs(tokenizer, first=("w2 w3", "w1"), second=("w5", "w4"), labels=(1, 0)),
        pairs(tokenizer, labels=(0, 0)),
        dataclasses.replace(one, types=1 - one.types),
        dataclasses.replace(one, labels=one.labels.astype(np.float32)),
    ]
    marks = [mark(other) for other in (one, *others)]
    swapped, elsewhere = mark(one, labels=("yes", "no")), digest_of({"test": one}, ("no", "yes")).digest
    marks += [swapped, elsewhere, mark(one, validation=one)]
    assert len(set(marks)) == len(marks) == 10


def test_what_makes_it_other_tags(tokenizer):
    one = tagged(tokenizer)
    others = [
        tagged(tokenizer, entity=(0, 2, "X")),
        tagged(tokenizer, entity=(0, 1, "Y")),
        tagged(tokenizer, words=("w1", "w2", "w4")),
        tagged(tokenizer, words=("w1-w2", "w3")),  # the same pieces but for the hyphen
        tagged(tokenizer, groups=[1, 1]),
        tagged(tokenizer, lost=("X",)),
        dataclasses.replace(one, words=np.where(one.words == 2, 1, one.words)),
        dataclasses.replace(one, document=np.zeros_like(one.document)),
    ]
    marks = [mark(other) for other in (one, *others)]
    assert len(set(marks)) == len(marks)


def test_the_difference_in_words(tokenizer):
    one, more = pairs(tokenizer), pairs(tokenizer, ("w1", "w2", "w3"), ("w4", "w5", "w6"), (0, 1, 0))
    before, now = (digest_of({"train": x, "validation": x, "test": one}, ()) for x in (one, more))
    assert before.difference(now) == "train 2 examples then, 3 now; validation 2 examples then, 3 now"
    assert before.difference(before._replace(digest="other")) == "as many examples then as now, but not the same ones"
