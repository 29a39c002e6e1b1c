"""A document's Markdown: what a text may not become."""

import pytest

from stablefit.study import document


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("re-init 0.1_x layer_decay", r"re-init 0.1_x layer_decay"),
        ("_a_ a__b", r"\_a\_ a\_\_b"),
        ("[x](http://y) www.z", r"\[x\](http:&#8203;//y) www.&#8203;z"),
        ("a\nb\\|", r"a b\\\|"),
        ("&lt;", "&amp;lt;"),
    ],
)
def test_escape_markdown(text, escaped):
    assert document.escape_markdown(text) == escaped


def test_a_paragraph_is_no_heading_and_no_list():
    page = document.to_markdown([document.Paragraph(text) for text in ("# a", "- b", "1. c", "+ d", "12 e")])
    assert page == "\\# a\n\n\\- b\n\n1\\. c\n\n\\+ d\n\n12 e\n"
