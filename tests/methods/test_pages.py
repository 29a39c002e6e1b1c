"""The page of the methods is that of their docstrings, and no public function lacks what a docstring has to have."""

import inspect
from pathlib import Path

import pytest

from stablefit import methods_page

PAGE = Path(__file__).parents[2] / "docs" / "methods.md"


def test_the_page_is_made_from_the_docstrings():
    assert PAGE.read_text() == methods_page.page(), "python -m stablefit.methods_page > docs/methods.md"


@pytest.mark.parametrize(("name", "function"), methods_page.functions(), ids=lambda x: x if isinstance(x, str) else "")
def test_every_function_has_an_example_that_the_tests_run(name, function):
    assert ">>>" in inspect.getdoc(function) or name == "reinit_mask"
    assert f"## {name}\n" in PAGE.read_text()


def test_every_picture_is_of_a_method():
    assert methods_page.PICTURES.keys() <= {name for name, _ in methods_page.functions()}
