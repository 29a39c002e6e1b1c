"""Where words begin and end, with marks, joiners and odd white space."""

import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stablefit.data.tags.words import split_text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("हिन्दी में", ["हिन्दी", "में"]),  # vowel signs are marks
        (unicodedata.normalize("NFD", "café-Zoë"), ["cafe\u0301", "-", "Zoe\u0308"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        ("❤\ufe0flove", ["❤\ufe0f", "love"]),
        ("\u0301 a\x1c²_½", ["\u0301", "a", "²_½"]),
    ],
)
def test_a_word_keeps_its_marks_and_joiners(text, words):
    found, bounds = split_text(text, "word")
    assert found == words
    assert [text[start:end] for start, end in bounds] == words
    assert split_text(text, "character")[0] == [c for c in text if not c.isspace()]


@settings(deadline=None, derandomize=True, database=None)
@given(st.text(st.characters(exclude_categories=("Cs", "Cn"))))
def test_words_hold_all_but_white_space(text):
    """And are those of Python's own expressions where there are no marks and no joiners."""
    words, bounds = split_text(text, "word")
    assert [text[start:end] for start, end in bounds] == words
    assert "".join(words) == "".join(text.split())
    plain = "".join(c for c in text if unicodedata.category(c)[0] != "M" and c not in "\u200c\u200d")
    assert split_text(plain, "word")[0] == re.findall(r"\w+|[^\w\s]", plain)
