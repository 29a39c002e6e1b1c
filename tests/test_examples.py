"""The examples run, and fine-tuning helps in them."""

import importlib.util
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


def _marks(path):
    return [pytest.mark.slow] if path.stem.startswith("pretrained") else []  # half a minute each


@pytest.mark.parametrize("path", [pytest.param(path, marks=_marks(path), id=path.stem) for path in EXAMPLES])
def test_example(path, capsys):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    before, after = module.main()
    assert after < 0.7 * before
    printed = capsys.readouterr().out
    assert "before" in printed
    assert "after" in printed


def test_there_is_one_for_linen_and_one_for_nnx():
    assert {path.stem.rsplit("_", 1)[1] for path in EXAMPLES} >= {"linen", "nnx"}
