"""A sweep: what it adds, that each cell and seed is run once, and the table."""

from pathlib import Path

import pytest

from stablefit import flags
from stablefit import grid as entry
from stablefit.errors import InputError
from stablefit.study import grid
from stablefit.training import inputs, job, rundir, settings
from tests import tiny

ROOT = Path(__file__).parents[2]
SWEEP = """
def sweep(add):
    add(config="{config}", name="standard", seeds=(0, 1))
    for rate in (0.0, 0.5):
        add(config="{config}", seeds=(0, 1), weight_decay=rate, reinit_layers=1)
"""


@pytest.fixture
def sweep(tiny_root, tmp_path):
    """A sweep file over a config of the tiny run."""
    config = tmp_path / "configs" / "tiny.py"
    config.parent.mkdir()
    config.write_text(
        f"from pathlib import Path\n\nfrom tests import tiny\n\n\n"
        f"def get_config(arg=''):\n    return tiny.config(Path({str(tiny_root)!r}), keep='none')\n"
    )
    file = tmp_path / "sweep.py"
    file.write_text(SWEEP.format(config=config))
    return file


def test_expand(sweep):
    cells = grid.expand(sweep)
    assert [cell.name for cell in cells] == [
        "standard",
        "tiny weight_decay=0.0 reinit_layers=1",
        "tiny weight_decay=0.5 reinit_layers=1",
    ]
    assert cells[2].changes == {"seeds": (0, 1), "weight_decay": 0.5, "reinit_layers": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "no function sweep"),
        ("def sweep(add):\n    pass", "adds no cell"),
        (
            "def sweep(add):\n    for _ in range(2):\n        add(config='c.py', name='same')",
            "two cells are called 'same'",
        ),
    ],
)
def test_bad_sweeps(tmp_path, text, message):
    (tmp_path / "sweep.py").write_text(text)
    with pytest.raises(InputError, match=message):
        grid.expand(tmp_path / "sweep.py")


def test_a_study_runs_each_seed_of_each_cell_once(sweep, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("STABLEFIT_CACHE", "")
    arguments = [f"--sweep={sweep}", f"--workdir={tmp_path / 'study'}", "--config.max_steps=3"]
    assert entry.main(arguments) == 0
    shown = capsys.readouterr()
    assert "[18/18 steps" in shown.err
    announced, table = shown.out.split("\nsetting ")
    assert "study    3 cells, 6 runs\ndone     0 runs are in" in announced
    assert "to do    6 runs, 18 steps;" in announced
    assert "process  freed memory" in announced
    assert "verdict  cannot be given with 2 seeds; 5 of each setting would do" in announced
    table = table.splitlines()
    assert [line.split("  ")[0] for line in table[1:4]] == [cell.name for cell in grid.expand(sweep)]
    assert table[1].endswith("baseline")
    assert table[2].endswith("cannot decide")
    folders = sorted((tmp_path / "study" / "cells").iterdir())
    rows = [rundir.read_lines(folder / "results.jsonl") for folder in folders]
    assert [[row["seed"] for row in cell] for cell in rows] == [[0, 1]] * 3
    assert {row["steps"] for cell in rows for row in cell} == {3}
    before = [(folder / "results.jsonl").stat().st_mtime_ns for folder in folders]
    assert entry.main([*arguments, "--quiet"]) == 0
    again = capsys.readouterr().out
    assert again.split("\nsetting ")[1] == shown.out.split("\nsetting ")[1]
    assert "done     6 runs are in" in again
    assert "to do    0 runs, 0 steps;" in again
    assert before == [(folder / "results.jsonl").stat().st_mtime_ns for folder in folders]


def test_a_study_on_other_data_is_refused_before_anything_is_written(sweep, tmp_path, capsys, monkeypatch):
    """Also where all that was begun is done, and where only new cells would be run."""
    monkeypatch.setenv("STABLEFIT_CACHE", "")
    tiny.write_rte(tmp_path / "data")
    study = tmp_path / "study"
    arguments = [f"--sweep={sweep}", f"--workdir={study}", f"--config.data_dir={tmp_path / 'data'}"]
    arguments.append("--config.max_steps=1")
    text = sweep.read_text()
    sweep.write_text(text.replace("(0, 1)", "(0,)").replace("(0.0, 0.5)", "()"))
    assert entry.main([*arguments, "--quiet"]) == 0
    before = {path: (path.stat().st_mtime_ns, path.is_file() and path.read_bytes()) for path in study.rglob("*")}
    with (tmp_path / "data" / "RTE" / "train.tsv").open("a") as file:
        file.write("42\tw1\tw1\tentailment\n")
    inputs.forget()
    capsys.readouterr()
    for own in (sweep.read_text(), text):
        sweep.write_text(own)
        for more in ([], ["--plan"]):
            assert entry.main([*arguments, *more]) == 2
            error = capsys.readouterr().err
            assert "holds a run on other data (train 42 examples then, 43 now)" in error
            assert error.count("\n") == 1
    after = {path: (path.stat().st_mtime_ns, path.is_file() and path.read_bytes()) for path in study.rglob("*")}
    assert after == before


def test_a_field_on_the_command_line_is_never_ignored(sweep, tmp_path, capsys):
    """One that all cells set alike takes the new value; one that makes them different is refused."""
    sweep.write_text(
        "def sweep(add):\n"
        "    for rate in (0.0, 0.5):\n"
        f"        add(config={'configs/rte.py'!r}, name=str(rate), seeds=range(2), max_steps=9, dropout=rate)\n"
    )
    cells = grid.expand(sweep)
    assert grid.common_fields(cells, ["seeds", "max_steps", "learning_rate"], sweep) == ["seeds", "max_steps"]
    assert entry.main([f"--sweep={sweep}", "--config.dropout=0.1", "--plan"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"--config.dropout would change nothing: every cell of {sweep} sets it itself, the first to 0.0" in error


def test_a_field_that_all_cells_set_alike_is_given_another_value(sweep, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("STABLEFIT_CACHE", "")
    tiny.write_rte(tmp_path / "data")
    arguments = [f"--sweep={sweep}", f"--workdir={tmp_path / 'study'}", f"--config.data_dir={tmp_path / 'data'}"]
    assert entry.main([*arguments, "--config.seeds=4,5,6", "--plan"]) == 0
    assert "study    3 cells, 9 runs" in capsys.readouterr().out


@pytest.mark.parametrize(("file", "cells", "seeds"), [("ablation", 36, 20), ("ablation_local", 8, 6)])
def test_the_ablations_are_table_2(file, cells, seeds, monkeypatch):
    """Every cell is a valid config of its own, with one baseline a task that comes first."""
    monkeypatch.chdir(ROOT)
    found = {
        cell.name: settings.read(flags.parse([f"--config={cell.config}"]).config.to_dict() | cell.changes)
        for cell in grid.expand(ROOT / "experiments" / f"{file}.py")
    }
    assert len({cell.fingerprint for cell in found.values()}) == len(found) == cells
    assert {len(cell.seeds) for cell in found.values()} == {seeds}
    first = {cell.spec.task: name for name, cell in reversed(found.items())}
    assert all(name.endswith("Standard") for name in first.values())
    depths = {cell.spec.task: cell.spec.reinit_layers for cell in found.values() if cell.spec.reinit_layers}
    assert depths == ({"reviews": 1} if "local" in file else {"rte": 6, "mrpc": 5, "stsb": 4, "cola": 1})


def test_the_plan_says_what_is_left_to_do_and_does_nothing(sweep, tmp_path, capsys):
    arguments = [f"--sweep={sweep}", f"--workdir={tmp_path / 'study'}", "--config.max_steps=3", "--plan"]
    assert entry.main(arguments) == 0
    assert not (tmp_path / "study").exists()
    mark = capsys.readouterr().out.splitlines()[7].split()[1]
    folder = tmp_path / "study" / "cells" / mark
    folder.mkdir(parents=True)
    (folder / "results.jsonl").write_text('{"seed": 1}\n{"seed": 7}\n{"see')
    assert entry.main([*arguments, "--config.patience=2"]) == 0
    assert "to do    6 runs, at most 18 steps" in capsys.readouterr().out
    assert entry.main(arguments) == 0
    out = capsys.readouterr().out
    assert "done     1 runs are in" in out
    assert "to do    5 runs, 15 steps;" in out
    assert out.splitlines()[7].split() == ["standard", mark, "2", "1", "3", "3"]


def test_a_mistake_in_the_last_cell_is_found_before_the_first_runs(sweep, tmp_path, capsys):
    sweep.write_text(sweep.read_text() + '    add(config="configs/rte.py", learning_rate=-1.0)\n')
    assert entry.main([f"--sweep={sweep}", f"--workdir={tmp_path / 'study'}"]) == 2
    assert capsys.readouterr().err == (
        "stablefit: config field learning_rate is -1.0; it must be a finite number > 0\n"
    )
    assert not (tmp_path / "study").exists()


def test_two_names_for_one_setting_are_refused(tiny_root, tmp_path):
    one = job.load(settings.read(tiny.config(tiny_root)))
    with pytest.raises(InputError, match="cells 'one' and 'other' of the sweep are one setting"):
        grid.run({"one": one, "other": one}, tmp_path / "study", quiet=True)
    assert not (tmp_path / "study").exists()


def test_the_table_compares_with_the_first_cell_of_the_same_task():
    def rows(scores, task="rte", metric="accuracy"):
        return [
            {"task": task, "seed": seed, "failed": score <= 0.5, "test_best": {metric: score}}
            for seed, score in enumerate(scores)
        ]

    steady = [0.70 + 0.01 * (i % 5) for i in range(10)]
    table = grid.study_table(
        {
            "standard": rows(steady),
            "on CoLA": rows(steady, "cola", "matthews"),
            "better": rows([s + 0.1 for s in steady]),
            "empty": [],
            "once": rows([0.7]),
        }
    ).splitlines()
    assert len(table) == 7, "a table of three cells, an empty line, and a table of one"
    assert table[2].split()[:4] == ["better", "10", "0", "0.8200"]
    difference, low, to, high, p_value, verdict = table[2].split()[-6:]
    assert (difference, to, verdict) == ("+0.1000", "to", "better")
    assert 0 < float(low) <= 0.1 <= float(high)
    assert float(p_value) < 0.01
    assert table[2].endswith("better")
    assert table[3].split()[:5] == ["once", "1", "0", "0.7000", "-"], "one run has no spread"
    assert table[3].endswith("cannot decide")


def test_the_table_fits_the_terminal(monkeypatch):
    """At 80 columns it is two blocks: the scores, and what they say against the first cell."""
    scores = [0.70 + 0.01 * (i % 5) for i in range(10)]
    cells = {
        name: [
            {"task": "rte", "seed": seed, "failed": False, "test_best": {"accuracy": score + shift}}
            for seed, score in enumerate(scores)
        ]
        for name, shift in (("RTE: Standard", 0.0), ("RTE: Pre-trained WD", 0.1))
    }
    wide = grid.study_table(cells).splitlines()
    monkeypatch.setenv("COLUMNS", "80")
    narrow = grid.study_table(cells).splitlines()
    assert (len(wide), len(narrow)) == (3, 7)
    assert max(map(len, wide)) > 80 >= max(map(len, narrow))
    assert narrow[4].split() == ["setting", "difference", "95", "%", "p", "verdict"]
    assert set(" ".join(wide).split()) == set(" ".join(narrow).split()), "nothing is lost"


def test_a_cell_with_stopped_seeds_is_one_number_and_has_no_verdict():
    """The finished ones are the best of all: were they taken as a sample, chance alone would make them better."""

    def rows(n, started=0, kept=10, shift=0.0):
        cell = []
        for seed in range(n):
            score = {"accuracy": 0.70 + 0.01 * (seed % 5) + shift}
            left = started and seed >= kept
            more = {"stopped": "seeds" if left else "", "steps": 30 if left else 100, "total_steps": 100}
            more |= {"started": started} if started else {}
            cell.append({"task": "rte", "seed": seed, "failed": False, "validation": score, "test_best": score} | more)
        return cell

    stopped = rows(20, started=20, shift=0.2)
    lines = grid.study_table({"standard": rows(10), "chosen": stopped, "better": rows(10, shift=0.1)}).splitlines()
    assert lines[2].split()[:5] == ["chosen", "20", "-", "0.9400", "-"]
    assert lines[2].endswith("no verdict: the best of 20 started, by validation")
    alone = grid.study_table({"standard": rows(10), "better": rows(10, shift=0.1)}).splitlines()
    assert lines[3].split()[-6:] == alone[2].split()[-6:], "and the verdicts do not count it"
    lines = grid.study_table({"chosen": stopped, "other": rows(10)}).splitlines()
    assert lines[2].endswith("no verdict: the baseline has stopped seeds")
