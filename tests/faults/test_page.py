"""The page of faults is that of the committed table, and what promises something links to its row."""

import re

import pytest

from tests.faults import page
from tests.faults.kinds import KINDS, LONG_KINDS


def test_the_page_is_made_from_the_results():
    assert (page.ROOT / "docs" / "faults.md").read_text() == page.page()


def test_every_kind_has_its_row():
    kinds = {kind.name for kind in KINDS}
    found = set(re.findall(r"^## (.+)$", page.page(), re.M))
    assert kinds <= found <= kinds | {kind.name for kind in LONG_KINDS} | {"ray"}


@pytest.mark.parametrize("file", ["README.md", "docs/sharp_edges.md", "docs/clusters.md", "docs/fit.md"])
def test_every_promise_links_to_a_row(file):
    text = (page.ROOT / file).read_text()
    linked = re.findall(r"faults\.md#([\w-]+)", text)
    assert linked
    assert set(linked) <= set(re.findall(r"^## (.+)$", page.page(), re.M))
