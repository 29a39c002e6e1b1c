"""Imports go one way, and methods/ stands on jax and optax alone. Read from the sources, so lazy imports count too."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "stablefit"
FILES = sorted(PACKAGE.rglob("*.py"))

# A part may import the parts of lower levels and itself; parts of one level do not know each other.
LEVELS = {
    "errors": 0,
    "extras": 0,
    "paths": 1,
    "declaring": 1,
    "factors": 1,
    "fields": 2,
    "methods": 2,
    "models": 2,
    "data": 2,
    "objectives": 3,
}
LEVELS |= {"training": 4, "study": 5, "serve": 5, "fit": 6, "commands": 7, "program": 1, "configs": 3}
TOP = 8  # stablefit/__init__.py and the entry points, which lie beside the parts
FORBIDDEN_NAMES = {"utils", "helpers", "common", "misc"}


def imported(path: Path) -> set[str]:
    """The full names of all imported modules, of `from a import b` both `a` and `a.b`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import; write the whole name"
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def part(path: Path) -> str:
    """The part of the package a file belongs to: `methods`, `paths`, `main`."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def ours(path: Path) -> set[str]:
    """The parts of the package that a file imports."""
    return {name.split(".")[1] for name in imported(path) if name.startswith("stablefit.")} & {part(f) for f in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path):
    own = part(path)
    level = LEVELS.get(own, TOP)
    for other in ours(path) - {own}:
        assert LEVELS.get(other, TOP) < level or level == TOP, f"{path} imports stablefit.{other}, which is above it"


@pytest.mark.parametrize("path", sorted((PACKAGE / "methods").glob("*.py")), ids=lambda path: path.name)
def test_methods_need_jax_and_optax_alone(path):
    allowed = {"jax", "optax", "numpy", "stablefit"} | set(sys.stdlib_module_names)
    tops = {name.split(".")[0] for name in imported(path)}
    assert tops <= allowed, f"{path} imports {sorted(tops - allowed)}"
    assert ours(path) <= {"methods", "paths", "errors"}
    inside = (PACKAGE / "paths.py", PACKAGE / "errors.py")
    assert all({name.split(".")[0] for name in imported(file)} <= allowed for file in inside)


ONLY = {
    "ml_collections": {"training/settings.py", "configs/base.py", "configs/arguments.py", "configs/named.py"},
    "safetensors": {"models/hf.py"},
    "orbax": {"training/checkpoints.py"},
    "jax2onnx": {"serve/onnx_export.py"},
    "onnx": {"serve/onnx_export.py"},
    "onnxruntime": {"serve/onnx_export.py"},
    "ray": {"study/launch.py"},
    "pandas": {"study/frames.py"},
    "torch": set(),
}


@pytest.mark.parametrize("library", ONLY)
def test_a_library_is_known_to_one_file(library):
    for path in FILES:
        inside = str(path.relative_to(PACKAGE))
        entry_point = library == "ml_collections" and "/" not in inside
        if library in {name.split(".")[0] for name in imported(path)}:
            assert inside in ONLY[library] or entry_point, f"{path} imports {library}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_have_a_name_and_a_size(path):
    assert path.stem not in FORBIDDEN_NAMES
    assert len(path.read_text().splitlines()) < 400, f"{path} is too long"


def test_methods_run_without_flax():
    """A process that imports the methods has loaded no Flax."""
    program = (
        "import sys, stablefit.methods; print([m for m in ('flax', 'ml_collections', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
