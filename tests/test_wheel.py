"""The wheel: installed into an environment of its own, it has the command, the configs and the types.

With the base requirements alone, and nothing else to import, it has the methods.
"""

import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from stablefit import extras, methods

ROOT = Path(__file__).parent.parent

PROJECT = ROOT / "tests" / "methods" / "typed_user.py"

pytestmark = pytest.mark.slow


def run(*command: object, cwd: Path) -> subprocess.CompletedProcess:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "COLUMNS")}
    return subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    done = run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT, cwd=folder)
    assert done.returncode == 0, done.stderr
    (file,) = folder.glob("stablefit-*.whl")
    return file


def environment(folder: Path, wheel: Path) -> Path:
    """An environment with the wheel and nothing that it needs; its site-packages."""
    venv.create(folder, with_pip=False)
    done = run(
        sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install", "--quiet", "--no-deps", wheel,
        cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (site,) = folder.glob("lib/python*/site-packages")
    return site


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The folder of the commands of an environment with the wheel; what it needs comes from this one."""
    folder = tmp_path_factory.mktemp("environment")
    site = environment(folder, wheel)
    # Behind the environment's own, so that an editable stablefit here, which is found by a .pth file, is not seen.
    (site / "requirements.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return folder / "bin"


def closure(requirements: list[str]) -> dict[str, metadata.Distribution]:
    """The distributions that the requirements lead to, without any extra, by what each says that it needs."""
    found, left = {}, [Requirement(line) for line in requirements]
    while left:
        one = left.pop()
        name = canonicalize_name(one.name)
        if name not in found and (one.marker is None or one.marker.evaluate({"extra": ""})):
            found[name] = metadata.distribution(name)
            left += [Requirement(line) for line in found[name].requires or []]
    return found


@pytest.fixture(scope="module")
def base(wheel, tmp_path_factory) -> Path:
    """The same with the wheel's base requirements and theirs, as links into this environment, and nothing else."""
    folder = tmp_path_factory.mktemp("base")
    site = environment(folder, wheel)
    (described,) = site.glob("stablefit-*.dist-info")
    for one in closure(metadata.Distribution.at(described).requires or []).values():
        for top in {file.parts[0] for file in one.files or []} - {"..", "__pycache__"}:
            (site / top).symlink_to(Path(str(one.locate_file(top))))
    return folder / "bin"


def test_what_is_in_it(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    ours = {str(path.relative_to(ROOT)) for path in (ROOT / "stablefit").rglob("*.py")}
    assert ours <= set(names)
    assert "stablefit/py.typed" in names
    assert not [name for name in names if not name.startswith(("stablefit/", "stablefit-"))]


def test_the_command_answers(installed, tmp_path):
    where = run(installed / "python", "-c", "import stablefit; print(stablefit.__file__)", cwd=tmp_path)
    assert where.stdout.startswith(str(installed.parent))
    version = run(installed / "stablefit", "--version", cwd=tmp_path)
    assert (version.returncode, version.stderr) == (0, "")
    assert version.stdout.startswith("stablefit ")
    assert run(installed / "python", "-m", "stablefit", "--version", cwd=tmp_path).stdout == version.stdout
    assert run(installed / "stablefit", cwd=tmp_path).stdout.startswith("stablefit fit tickets.csv --out=DIR\n")
    assert run(installed / "stablefit", "fti", cwd=tmp_path).returncode == 2


@pytest.mark.parametrize("config", ["reviews", "configs/reviews.py"])
def test_the_demo_is_planned_from_another_folder(installed, tmp_path, config):
    done = run(installed / "stablefit", "run", f"--config={config}", "--plan", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "400 train, 200 validation, 1000 test" in done.stdout
    assert "\ndisk     about 451 MB of parameters" in done.stdout  # of five seeds, the best step of each
    assert list(tmp_path.iterdir()) == []


def test_a_config_of_ones_own(installed, tmp_path):
    (tmp_path / "mine.py").write_text(
        "from stablefit.configs import base, reviews\n\n\n"
        "def get_config(arg=''):\n    config = reviews.get_config()\n    config.learning_rate = 3e-5\n"
        "    return base.with_argument(config, arg)\n"
    )
    command = [installed / "stablefit", "run", "--plan", "--config", "mine.py:method=reinit,layers=2"]
    done = run(*command, "--config.seeds=0-2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "reinit_layers=2" in done.stdout
    assert "seeds    0, 1, 2;" in done.stdout


# --- with the base requirements alone


def test_the_base_install_is_small_and_whole(base):
    """What it needs is there, by pip's own check, and of the extras' packages only what jax and optax bring."""
    done = run(sys.executable, "-m", "pip", "--python", base / "python", "check", cwd=base)
    assert done.returncode == 0, done.stdout
    (site,) = base.parent.glob("lib/python*/site-packages")
    modules = {module for names in extras.EXTRAS.values() for module in names}
    assert {module for module in modules if (site / module).exists()} <= {"absl", "scipy"}
    assert len(list(site.glob("*.dist-info"))) < 12


def test_a_project_runs_with_the_base_install(base, tmp_path):
    """Re-init, mixout, Adam's correction, decay, layer-wise rates, in a program that has jax and optax only."""
    (tmp_path / "project.py").write_bytes(PROJECT.read_bytes())
    program = "import json, project; print(json.dumps(project.main()))"
    done = run(base / "python", "-W", "error", "-c", program, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    refused, found = done.stdout.splitlines()
    assert refused.startswith("6 leaves; ")
    before, after = json.loads(found)
    assert after < 0.3 * before


@pytest.mark.parametrize("verb", ["fit", "check", "run", "grid", "predict", "export", "report"])
def test_a_command_says_what_to_install(base, tmp_path, verb):
    (tmp_path / "x.csv").write_text("text,label\n" + "good,yes\nbad,no\n" * 20)
    (tmp_path / "sweep.py").write_text("def sweep(add):\n    add('reviews')\n")
    arguments = {
        "fit": ["x.csv", "--out=out"],
        "check": ["x.csv"],
        "run": ["--config=reviews"],
        "grid": ["--sweep=sweep.py"],
        "predict": [".", "x.csv", "--out=out"],
        "export": [".", "out"],
        "report": ["."],
    }
    done = run(base / "python", "-m", "stablefit", verb, *arguments[verb], cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"stablefit: package \w+ is not installed: pip install 'stablefit\[train\]'\n", done.stderr)
    assert {path.name for path in tmp_path.iterdir()} == {"x.csv", "sweep.py"}
    assert f"usage: stablefit {verb} " in run(base / "stablefit", verb, "--help", cwd=tmp_path).stdout


def test_a_name_of_the_package_says_what_to_install(base, tmp_path):
    program = "import stablefit\ntry:\n    stablefit.load\nexcept ModuleNotFoundError as error:\n    print(error)"
    done = run(base / "python", "-c", program, cwd=tmp_path)
    assert re.fullmatch(
        r"stablefit\.load: package \w+ is not installed: pip install 'stablefit\[train\]'\n", done.stdout
    )


# --- types


def findings(base: Path, folder: Path) -> list[dict]:
    """What pyright has to say of the programs of a folder, which sees the base install and nothing else."""
    command = [sys.executable, "-m", "pyright", "--pythonpath", base / "python", "--outputjson", folder]
    return json.loads(run(*command, cwd=folder).stdout)["generalDiagnostics"]


def test_the_types_of_the_methods_reach_a_project(base, tmp_path):
    """The project above is clean, wrong arguments are found, and no public name is without a type."""
    (tmp_path / "project.py").write_bytes(PROJECT.read_bytes())
    public = [name for name in vars(methods) if getattr(methods, name) is not None and name[0] != "_"]
    public = [name for name in public if getattr(getattr(methods, name), "__module__", "").startswith("stablefit.")]
    assert {"mixout", "reinit", "ParamTransform"} <= set(public)
    lines = ["from stablefit import methods", *(f"reveal_type(methods.{name})" for name in public)]
    (tmp_path / "names.py").write_text("\n".join(lines) + "\n")
    (tmp_path / "wrong.py").write_text(f"{lines[0]}\nmethods.mixout(0.1, unti='')\nmethods.mixuot(0.1)\n")
    said: dict[str, list[dict]] = {}
    for one in findings(base, tmp_path):
        said.setdefault(Path(one["file"]).name, []).append(one)
    assert "project.py" not in said, said["project.py"]
    assert [one["rule"] for one in said["wrong.py"]] == ["reportCallIssue", "reportAttributeAccessIssue"]
    revealed = [one["message"] for one in said["names.py"]]
    assert len(revealed) == len(public)
    for message in revealed:
        what, _, of = message.partition(" is ")
        assert what.startswith("Type of "), message
        assert of.startswith(('"(', '"type[')), message
        assert "Unknown" not in of, message
