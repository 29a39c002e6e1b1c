"""The command `stablefit`: verbs, help, version, what the package offers, and cleaning up."""

import io
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import stablefit
from stablefit import cli, grid, main, program, report
from stablefit.commands import clean
from stablefit.training import rundir, settings
from tests import tiny

ROOT = Path(__file__).parent.parent
HEAVY = ("jax", "numpy", "flax", "transformers", "sklearn", "ml_collections")


def python(code: str, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *arguments, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )


# --- the verbs


def test_a_bare_command_shows_how_to_begin(capsys):
    for argv in ([], ["--help"], ["-h"], ["help"]):
        assert cli.main(argv) == 0
        out = capsys.readouterr().out
        assert out == cli.USAGE
    assert out.startswith("stablefit fit tickets.csv --out=DIR\n")
    assert all(f"\n  {verb} " in out for verb in cli.VERBS)


def test_help_fits_eighty_columns():
    for text in (cli.USAGE, main.USAGE, grid.USAGE, report.USAGE, clean.USAGE):
        assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("verb", cli.VERBS)
def test_each_verb_has_a_help_that_imports_nothing_heavy(verb):
    path = ROOT / (cli.VERBS[verb].replace(".", "/") + ".py")
    assert path.is_file()
    code = f"from stablefit import cli; import sys; code = cli.main([{verb!r}, '--help']); "
    done = python(code + f"print(code, sorted(set({HEAVY}) & set(sys.modules)))")
    assert done.returncode == 0, done.stderr
    assert f"usage: stablefit {verb} " in done.stdout
    assert done.stdout.endswith("\n0 []\n")
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["fti"], "verb 'fti' is unknown; did you mean fit?"),
        (["Predict"], "verb 'Predict' is unknown; did you mean predict?"),
        (["zzz"], "verb 'zzz' is unknown; the verbs are fit, check, predict, export, run, grid, report, pack, clean"),
        (["--config=rte"], "'--config=rte' stands before a verb, such as run in `stablefit run --config=reviews`"),
        (["tickets.csv"], "'tickets.csv' is a file and no verb; did you mean `stablefit fit tickets.csv`?"),
    ],
)
def test_an_unknown_verb_is_one_line(argv, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tickets.csv").write_text("text,label\n")
    assert cli.main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"stablefit: {said}")
    assert err.count("\n") == 1


def test_the_verb_gets_the_rest(capsys):
    assert cli.main(["run", "--cofnig=rte"]) == 2
    assert capsys.readouterr().err == "stablefit: flag --cofnig is unknown; did you mean --config?\n"


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], []])
def test_python_m_stablefit(arguments):
    clock = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "stablefit", *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout == (f"stablefit {stablefit.__version__}\n" if "--version" in arguments else cli.USAGE)
    assert time.monotonic() - clock < 5


def test_a_reader_that_has_enough_is_no_mistake(tmp_path):
    """`stablefit predict ... | head -1`: no traceback, and the exit code that shells know."""
    code = (
        "from stablefit import program\n"
        "def body(argv):\n    for i in range(10 ** 6): print(i)\n    return 0\n"
        "program.leave(program.run('', body, ['x']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == "0\n"
    process.stdout.close()
    assert process.wait(timeout=60) == program.SIGNALLED + 13
    assert process.stderr.read() == ""
    process.stderr.close()


# --- what the package offers


def test_import_stablefit_is_light():
    done = python(f"import sys, stablefit; print(sorted(set({HEAVY}) & set(sys.modules)), dir(stablefit)[-1])")
    assert done.stdout.startswith("[] ")


def test_what_the_package_offers():
    assert stablefit.__version__.count(".") == 2
    assert stablefit.methods.__name__ == "stablefit.methods"
    face = {"methods", "load_pretrained", "save_pretrained", "run", "predict", "export", "load", "Observer"}
    face |= {"__version__"}
    assert face | {"TextClassifier", "TextRegressor", "Tagger"} <= set(dir(stablefit))
    assert all(callable(getattr(stablefit, name)) for name in face - {"methods", "__version__"})
    with pytest.raises(AttributeError, match="no attribute 'lod'; it offers methods, load_pretrained, "):
        _ = stablefit.lod
    assert (ROOT / "stablefit" / "py.typed").is_file()


# --- clean


@pytest.fixture
def study(tmp_path) -> Path:
    """Two runs: seeds 0 and 1 are finished with both parameters, seed 2 is not."""
    for cell, rate in (("a", 0.1), ("b", 0.2)):
        folder = tmp_path / "study" / "cells" / cell
        with rundir.RunDirectory(folder, settings.read(tiny.config(tmp_path, learning_rate=rate, seeds=(0, 1, 2)))):
            pass
        (folder / "results.jsonl").write_text("".join(json.dumps({"seed": seed}) + "\n" for seed in (0, 1)))
        for seed in (0, 1, 2):
            for name in ("best/d", "last/d", "state/4"):
                (folder / f"seed_{seed}" / name).mkdir(parents=True)
                (folder / f"seed_{seed}" / name / "array").write_bytes(bytes(500_000))
            (folder / f"seed_{seed}" / "metrics.jsonl").write_text("{}\n")
            (folder / f"seed_{seed}" / "predictions.npz").write_bytes(b"p")
    model = tmp_path / "study" / "model" / "members" / "0"
    model.mkdir(parents=True)
    return tmp_path / "study"


def contents(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.parametrize(
    ("flags", "gone", "size"), [([], ("last",), "2 MB"), (["--keep=none"], ("last", "best"), "4 MB")]
)
def test_clean_removes_parameters_and_nothing_else(study, flags, gone, size, capsys):
    before = contents(study)
    assert clean.main([str(study), "--yes", *flags]) == 0
    n = 4 * len(gone)
    assert capsys.readouterr().out == f"removed {n} folders of parameters in {study}, {size}\n"
    removed = before - contents(study)
    assert not contents(study) - before
    tops = {path for path in removed if path.endswith(gone)}
    assert tops == {f"cells/{cell}/seed_{seed}/{name}" for cell in "ab" for seed in (0, 1) for name in gone}
    assert all(path.startswith(tuple(tops)) for path in removed)
    assert clean.main([str(study), "--yes", *flags]) == 0
    assert capsys.readouterr().out == f"{study} holds no parameters that would go\n"


def test_clean_asks(study, capsys, monkeypatch):
    class Typed:
        def __init__(self, answer):
            self.answer = answer

        def isatty(self):
            return True

        def readline(self):
            return self.answer

    before = contents(study)
    for answer in ("\n", "n\n", ""):
        monkeypatch.setattr(sys, "stdin", Typed(answer))
        assert clean.main([str(study)]) == 0
        assert capsys.readouterr().out.endswith("Remove them? [y/N] nothing is removed\n")
    assert contents(study) == before
    monkeypatch.setattr(sys, "stdin", Typed("y\n"))
    assert clean.main([str(study)]) == 0
    assert "\nRemove them? [y/N] removed 4 folders" in capsys.readouterr().out
    assert contents(study) < before


def test_clean_lists_what_no_cell_names_and_removes_it_when_told(study, capsys, monkeypatch):
    """A sweep whose cell was edited has left the old cell's folder."""
    old, new = (study / "cells" / mark for mark in ("aaaaaaaaaaaa", "bbbbbbbbbbbb"))
    (study / "cells" / "a").rename(old)
    (study / "cells" / "b").rename(new)
    (study / "cells.txt").write_text("bbbbbbbbbbbb  rate 0.2\n")
    kept = contents(study)
    assert clean.main([str(study), "--keep=none", "--yes"]) == 0
    listed = capsys.readouterr().out
    assert listed.startswith(f"{old}: no cell of the sweep has this setting; 2 seeds finished, ")
    assert "\n--unnamed removes it\nremoved 8 folders of parameters" in listed
    shutil.rmtree(old / "seed_0")
    old.rename(old.with_name(".aaaaaaaaaaaa.removed"))  # as a kill leaves it
    assert clean.main([str(study), "--unnamed", "--yes"]) == 0
    assert f"removed 1 folders of cells outside its sweep in {study}, " in capsys.readouterr().out
    assert [path.name for path in (study / "cells").iterdir()] == ["bbbbbbbbbbbb"]
    assert contents(study) < kept
    assert clean.main([str(study), "--unnamed", "--yes"]) == 0
    assert capsys.readouterr().out == f"{study} holds no cells outside its sweep that would go\n"
    assert clean.main([str(study), "--unnamed", "--keep=best"]) == 2
    assert "--keep" in capsys.readouterr().err


def test_clean_goes_on_where_it_was_killed(study):
    seed = study / "cells" / "a" / "seed_0"
    (seed / "last").rename(seed / ".last.removed")
    assert clean.main([str(study), "--yes"]) == 0
    assert not (seed / ".last.removed").exists()
    assert (seed / "best").is_dir()


def test_clean_follows_no_link(study, tmp_path):
    away = tmp_path / "away"
    (study / "cells" / "a" / "seed_0").rename(away)
    (study / "cells" / "a" / "seed_0").symlink_to(away)
    assert clean.main([str(study), "--yes", "--keep=none"]) == 0
    assert (away / "last").is_dir()


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "the following arguments are required: workdir"),
        (["PLACE/none"], "'PLACE/none' is not a folder"),
        (["PLACE/model"], "holds no finished run"),
        (["PLACE"], "4 folders of parameters in PLACE, 2 MB: nobody can be asked whether they may go; give --yes"),
        (["PLACE", "--keep=some"], "'some'"),
        (["PLACE", "--yess"], "--yess"),
    ],
)
def test_clean_refuses_in_one_line(argv, said, study, capsys, monkeypatch):
    before = contents(study)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    code = clean.main([argument.replace("PLACE", str(study)) for argument in argv] or ["--yes"])
    err = capsys.readouterr().err
    assert code == 2
    assert said.replace("PLACE", str(study)) in err
    assert err.count("\n") == 1
    assert contents(study) == before


def test_clean_leaves_a_run_alone_that_is_going_on(study, tmp_path, capsys):
    config = settings.read(tiny.config(tmp_path, learning_rate=0.2, seeds=(0, 1, 2)))
    with rundir.RunDirectory(study / "cells" / "b", config):
        before = contents(study)  # its start removes the states of finished seeds
        assert clean.main([str(study), "--yes"]) == 2
    assert "cells/b is in use by another process" in capsys.readouterr().err
    assert contents(study) == before
