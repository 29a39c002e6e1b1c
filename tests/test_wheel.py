"""The wheel: installed into an environment of its own, it has the command, the configs and the types."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

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


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The folder of the commands of an environment with the wheel; what it needs comes from this one."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    done = run(
        sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install", "--quiet", "--no-deps", wheel,
        cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (site,) = folder.glob("lib/python*/site-packages")
    # Behind the environment's own, so that an editable stablefit here, which is found by a .pth file, is not seen.
    (site / "requirements.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
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
    assert "\ndisk     about 90" in done.stdout
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
