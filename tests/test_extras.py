"""The base install is jax, optax and numpy; what else is imported is in an extra, and a missing one is a line."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from benchmarks import install
from stablefit import extras, program

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
BASE = {"jax", "numpy", "optax"}
ON_THEIR_OWN = {"jax2onnx", "onnx", "onnxruntime"}  # docs/fit.md says how they are installed
MODULES = {module: extra for extra, modules in extras.EXTRAS.items() for module in modules}


def names(requirements):
    return {canonicalize_name(Requirement(line).name) for line in requirements}


def test_the_base_requirements_are_those_of_the_methods():
    assert names(PROJECT["dependencies"]) == BASE


def test_every_import_is_in_the_base_or_an_extra():
    found = set()
    for path in (ROOT / "stablefit").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(), str(path))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add(str(node.module).split(".")[0])
    assert found - set(sys.stdlib_module_names) - {"stablefit"} == BASE | ON_THEIR_OWN | MODULES.keys()


def test_the_modules_of_an_extra_are_of_its_distributions():
    distributions = metadata.packages_distributions()
    for extra, modules in extras.EXTRAS.items():
        declared = names(PROJECT["optional-dependencies"][extra])
        brought = {canonicalize_name(name) for module in modules for name in distributions[module]}
        assert declared <= brought
        assert all({canonicalize_name(name) for name in distributions[module]} & declared for module in modules)
    assert PROJECT["optional-dependencies"]["dev"][0] == f"stablefit[{','.join(extras.EXTRAS)}]"


def test_a_missing_package_is_one_line_of_a_command(capsys):
    def body(argv):
        raise ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib")

    assert program.run("usage", body, ["x"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "stablefit: package matplotlib is not installed: pip install 'stablefit[report]'\n"


def test_a_missing_module_of_somebody_else_stays_what_it_is():
    def body(argv):
        raise ModuleNotFoundError("No module named 'flax.gone'", name="flax.gone")

    with pytest.raises(ModuleNotFoundError, match=r"flax\.gone"):
        program.run("usage", body, ["x"])


def test_without_the_extras_there_are_the_methods_and_a_line():
    """A process that cannot import any of their modules but those that jax and optax bring."""
    code = (
        f"import sys; gone = {sorted(MODULES.keys() - {'absl', 'scipy'})}\n"
        "class Finder:\n    def find_spec(self, name, path=None, target=None):\n"
        "        if name in gone:\n            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "import stablefit, stablefit.methods\n"
        "for name in ('load', 'TextClassifier', 'run'):\n"
        "    try:\n        getattr(stablefit, name)\n"
        "    except ModuleNotFoundError as error:\n        print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "stablefit.load",
        "stablefit.TextClassifier",
        "stablefit.run",
    ]
    for line in lines:
        assert re.search(r": package \w+ is not installed: pip install 'stablefit\[train\]'$", line)


def test_the_page_has_the_measured_table():
    found = json.loads((ROOT / "benchmarks" / "results" / "install.json").read_text())
    page = (ROOT / "docs" / "transforms.md").read_text()
    assert "\n".join(install.table(found)) in page
    assert found["stablefit"]["mb"] - found["optax"]["mb"] <= 6  # the package itself
