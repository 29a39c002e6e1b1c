"""The files of launch/ and the commands of docs/clusters.md: they parse, and what they call exists."""

import re
import shlex
from pathlib import Path

import pytest

from stablefit import flags
from stablefit.study import grid

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "launch").glob("*.yaml"))


def commands(path):
    """Every `python -m stablefit.X ...` of a file, in words; a folded line is one command."""
    text = re.sub(r"\n +(?=--)", " ", path.read_text())
    found = re.findall(r"python -m (stablefit\.\w+) ([^\n&#|`]*)", text)
    return [(module, [word for word in shlex.split(words) if word.startswith("--")]) for module, words in found]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_launch_file_parses(path):
    yaml = pytest.importorskip("yaml")
    assert isinstance(yaml.safe_load(path.read_text()), dict)
    assert commands(path), "it starts something of ours"


@pytest.mark.parametrize("path", [*FILES, ROOT / "docs" / "clusters.md"], ids=lambda path: path.name)
def test_its_commands_exist(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    for module, words in commands(path):
        if module == "stablefit.grid":
            given = flags.parse_grid(words)
            cells = grid.expand(Path(given.sweep))
            flags.parse([f"--config={cells[0].config}", *given.overrides])
            grid.common_fields(cells, given.fields, Path(given.sweep))
        else:
            assert module == "stablefit.main"
            flags.parse(words)


def test_what_the_page_names_is_there():
    page = (ROOT / "docs" / "clusters.md").read_text()
    for name in {*re.findall(r"launch/[\w.]+", page), *re.findall(r"tests/[\w./]+\.py", page)}:
        assert (ROOT / name).is_file(), name
    for path in FILES:
        assert f"launch/{path.name}" in page
