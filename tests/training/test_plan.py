"""What a run says: its plan, the parameter table, the display, the table at the end."""

import io
import math
import shutil
from pathlib import Path

import pytest

from stablefit.training import job, plan, settings
from stablefit.training.progress import Progress
from tests import tiny


@pytest.fixture(scope="module")
def prepare(tiny_root):
    return lambda **changes: job.load(settings.read(tiny.config(tiny_root, **changes)))


def test_the_parameter_table_tells_what_each_gets(prepare):
    the_job = prepare(layer_decay=0.5, lr_multipliers="head/.*=10", weight_decay=0.1, reinit_layers=1)
    rows = {row[0]: row[1:] for row in plan.parameter_rows(the_job)}
    assert rows["encoder/embeddings/word_embeddings/embedding"] == ("41x8", "0", "0.125", "0.1", "pre-trained")
    assert rows["encoder/layer_0/output/kernel"] == ("16x8", "1", "0.25", "0.1", "pre-trained")
    assert rows["encoder/layer_1/output/kernel"] == ("16x8", "2", "0.5", "0.1", "re-initialised")
    assert rows["encoder/layer_1/LayerNorm/scale"] == ("8", "2", "0.5", "-", "re-initialised")
    assert rows["encoder/pooler/bias"] == ("8", "3", "1", "-", "re-initialised")
    assert rows["head/kernel"] == ("8x2", "3", "10", "0.1", "new")
    assert len(rows) == 5 + 2 * 16 + 2 + 2


def test_the_announcement(prepare):
    text = plan.announcement(prepare(mixout_rate=0.1, dropout=0.0, seeds=(3, 4)))
    lines = text.splitlines()
    assert "2 blocks x 8" in lines[0]
    assert "42 train, 12 validation, 12 test" in text
    assert "6 of 8 examples, 0 warm-up, evaluated every 3" in text
    assert "methods  mixout_rate=0.1" in lines
    assert "seeds    3, 4; config" in text
    assert "none beside Adam" in plan.announcement(prepare())
    text = plan.announcement(prepare(seeds=(0, 1, 2, 3, 4), stop_seeds_at=0.2, evaluations=3, patience=2))
    assert "stopping a run stops after 2 evaluations without a better score; at step 2 the 3 best of 5 seeds" in text


def test_how_a_text_is_read_is_said_where_the_directory_says_it(prepare):
    assert "reading" not in plan.announcement(prepare())
    assert "reading  each text by the mean of its pieces\n" in plan.announcement(prepare(pooling="mean"))
    job = prepare()
    folder = Path(job.spec.model) / "1_Pooling"
    folder.mkdir()
    (folder / "config.json").write_text('{"pooling_mode": "mean"}')
    (folder.parent / "modules.json").write_text('[{"path": "1_Pooling", "type": "models.Pooling"}]')
    try:
        said = "each text at [CLS], by the pooler; the model's 1_Pooling says by the mean of its pieces: pooling=mean"
        assert f"reading  {said}\n" in plan.announcement(job)
        text = plan.announcement(prepare(pooling="auto"))
        assert "reading  each text by the mean of its pieces, as the model's 1_Pooling says\n" in text
    finally:
        shutil.rmtree(folder)
        (folder.parent / "modules.json").unlink()


def test_skipped_rows_are_said(prepare, tmp_path):
    """QQP's broken rows are left out, but never silently."""
    rows = [f"{i}\t0\t0\tw1 w2\tw{i % 9}\t{i % 2}" for i in range(1040)]
    header = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate"
    (tmp_path / "QQP").mkdir()
    (tmp_path / "QQP" / "train.tsv").write_text("\n".join([header, "broken", *rows]) + "\n")
    (tmp_path / "QQP" / "dev.tsv").write_text("\n".join([header, *rows[:8], "broken\ttoo"]) + "\n")
    text = plan.announcement(prepare(task="qqp", data_dir=str(tmp_path)))
    assert "40 train, 1000 validation, 8 test" in text
    assert "skipped  2 broken rows of the files are left out" in text
    assert "skipped" not in plan.announcement(prepare())


def row(seed, score, failed=False, diverged=False):
    scores = {"accuracy": score}
    return {"seed": seed, "best_step": 5, "validation": scores, "test_best": scores, "test_last": scores} | {
        "majority": 0.5, "failed": failed, "diverged": diverged, "steps": 10, "total_steps": 10, "stopped": ""
    }  # fmt: skip


def test_the_result_table():
    lines = plan.result_table([row(0, 0.7), row(1, 0.5, failed=True)], "accuracy", "accuracy").splitlines()
    assert lines[1].split() == ["0", "5", "0.7000", "0.7000", "0.7000"]
    assert lines[2].split()[-1] == "failed"
    summary = {line.split()[0]: line.split()[1] for line in lines[3:7]}
    assert summary == {"mean": "0.6000", "sd": "0.1414", "min": "0.5000", "max": "0.7000"}
    assert lines[-1].startswith("1 of 2 runs failed")


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("accuracy", "the majority class alone gives"),
        ("spearman", "guessing reaches in one of twenty test sets"),
        ("rmse", "the same number for every text gives"),
        ("entity_f1_strict", "finding no entity gives"),
        ("f1_micro", "the same labels for every text give"),
    ],
)
def test_what_a_failed_run_is_no_better_than(metric, said):
    scores = {metric: 0.7}
    rows = [{**row(seed, 0.7), "validation": scores, "test_best": scores, "test_last": scores} for seed in (0, 1)]
    assert plan.result_table(rows, metric, metric).endswith(f"not above 0.5000, what {said}")


def test_what_ended_early_is_said():
    """Patience gives whole runs; seeds that were kept because they were best have no mean."""
    patient = {**row(1, 0.8), "stopped": "patience", "steps": 6}
    lines = plan.result_table([row(0, 0.7), patient], "accuracy", "accuracy").splitlines()
    assert lines[2].endswith("0.8000            stopped by patience at 6")
    assert lines[3].split()[:2] == ["mean", "0.7500"]
    left = {**row(2, 0.6), "stopped": "seeds", "steps": 4}
    rows = [{**one, "started": 3} for one in (row(0, 0.7), patient, left)]
    text = plan.result_table(rows, "accuracy", "accuracy")
    assert "stopped by seeds at 4" in text
    assert "mean" not in text
    assert "2 of 3 seeds were finished" in text
    assert "together they cost 2.0 full runs" in text
    assert text.endswith("best of all on validation: seed 1, test accuracy 0.8000")


def test_the_time_left_counts_what_steps_cost(monkeypatch):
    """Ten cheap steps took ten seconds, so ten of 360 times the cost take an hour; skipped ones take none.

    The first pieces, which have the compiling in them, say nothing of the speed, and are forgotten later.
    """
    log, clock = io.StringIO(), [0.0]
    monkeypatch.setattr("stablefit.training.progress.time.monotonic", lambda: clock[0])
    progress = Progress(34, stream=log, work=14 + 20 * 360)
    for clock[0], steps in ((50.0, 1), (95.0, 1), (98.0, 1), (99.0, 1), (104.0, 5), (109.0, 5)):
        assert progress.left() == "" or clock[0] > 99
        progress.advance(steps, "", 0.5)
    assert progress.left() == "2:00:00"
    progress.weight = 360
    progress.skip(10)
    assert progress.left() == "1:00:00"
    progress.line("half")
    assert log.getvalue().splitlines()[-1] == "half  [24/34 steps, 1:00:00 left]"


def test_one_seed_has_no_spread():
    table = plan.result_table([row(0, 0.0, True, True)], "accuracy", "accuracy")
    assert "sd" not in table
    assert "diverged" in table


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_lines_in_a_log_a_bar_on_a_terminal_nothing_if_quiet():
    log, terminal, silent = io.StringIO(), Terminal(), io.StringIO()
    for stream, quiet in ((log, False), (terminal, False), (silent, True)):
        with Progress(20, quiet=quiet, stream=stream) as progress:
            progress.skip(10)
            progress.advance(1, "seed 0 step 11/20", 0.25)
            for _ in range(4):
                progress.advance(1, "seed 0 step 15/20", 0.25, "best accuracy 0.7")
            progress.line("seed 0  step 15/20  validation accuracy 0.7000")
    compiling, told = log.getvalue().splitlines()
    assert compiling.startswith("compiling the first program")
    assert told.startswith("seed 0  step 15/20  validation accuracy 0.7000  [15/20 steps, 0:0")
    assert "compiling: " in terminal.getvalue()
    assert "seed 0 step 15/20:  75%" in terminal.getvalue()
    assert "loss 0.2500, best accuracy 0.7" in terminal.getvalue()
    assert silent.getvalue() == ""


def test_nothing_to_do_compiles_nothing():
    log = io.StringIO()
    with Progress(0, stream=log):
        pass
    assert log.getvalue() == ""


@pytest.mark.parametrize("columns", [50, 66, 80, 100, 160])
def test_the_bar_fits_the_terminal(columns, monkeypatch):
    """The most telling words stay: where it is, how long it takes, then the score, then the loss and the rate."""
    monkeypatch.setattr("tqdm.std._screen_shape_wrapper", lambda: lambda stream: (columns, 24))
    terminal = Terminal()
    with Progress(1300, stream=terminal) as progress:
        for _ in range(4):
            progress.advance(260, "seeds 0..4 step 208/260", 0.25, "best accuracy 0.7850")
        progress.advance(1, "seeds 0..4 step 209/260", 0.25, "best accuracy 0.7850")
        shown = str(progress._bar)
    assert len(shown) <= columns
    assert shown.startswith("seeds 0..4 step 209/260:  80%|")
    assert ("left" in shown) == (columns < 160)
    assert ("best accuracy 0.7850" in shown) == (columns >= 80)
    assert ("loss 0.2500" in shown) == (columns >= 100)
    assert ("step/s" in shown) == (columns == 160)


def test_a_table_fits_the_terminal(monkeypatch):
    rows = [row(0, 0.7), {**row(1, 0.5), "stopped": "patience", "steps": 6}]
    monkeypatch.setenv("COLUMNS", "80")
    text = plan.result_table(rows, "accuracy", "accuracy")
    narrow = text.rsplit("\n\n", 1)[0].splitlines()
    assert max(map(len, narrow)) <= 80
    assert [line.split() for line in narrow[-2:]] == [["seed"], ["1", "stopped", "by", "patience", "at", "6"]]
    monkeypatch.setenv("COLUMNS", "200")
    assert "0.5000            stopped by patience at 6\n" in plan.result_table(rows, "accuracy", "accuracy")


def test_what_is_kept_is_said_before(prepare):
    the_job = prepare(seeds=(0, 1, 2))
    size = 4 * sum(math.prod(map(int, shape[1].split("x"))) for shape in plan.parameter_rows(the_job))
    assert f"about {plan.in_words(6 * size)} of parameters in the end; keep=best keeps half" in plan.disk([the_job])
    best = prepare(seeds=(0, 1), keep="best")
    assert plan.disk([best]) == f"about {plan.in_words(2 * size)} of parameters in the end; keep=none keeps none"
    assert plan.disk([the_job, best]).startswith(f"about {plan.in_words(8 * size)} of")
    assert "no parameters are kept" in plan.disk([prepare(keep="none")])
    assert "\ndisk     about " in plan.announcement(the_job)


def test_minutes_are_those_of_finished_runs(prepare):
    """Nothing is guessed: without a timed run, on such a device, nothing is said."""
    the_job = prepare(seeds=(0, 1, 2))
    timed = {"seed": 0, "seconds": 600.0, "steps": the_job.total_steps, "device": the_job.provenance["device"]}
    assert plan.minutes([(the_job, [timed])]) == "about 20 minutes"
    assert plan.minutes([(the_job, [{**timed, "seconds": 5.0}])]) == "about 10 seconds"
    twice = prepare(seeds=(0, 1), max_steps=2 * the_job.total_steps, evaluations=6)
    assert plan.minutes([(the_job, [timed]), (twice, [])]) == "about 59 minutes"  # evaluations are shared by more steps
    assert plan.minutes([(the_job, [])]) == ""
    assert plan.minutes([(the_job, [{**timed, "device": "8 x TPU v9"}])]) == ""
    assert plan.minutes([(the_job, [{**timed, "seed": seed} for seed in (0, 1, 2)])]) == ""
