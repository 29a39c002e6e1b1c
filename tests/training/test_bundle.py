"""What a run's folder says of its model, and that a folder of before gets it."""

import json
import shutil

import pytest

from stablefit.errors import InputError
from stablefit.study import reading
from stablefit.training import bundle, job, settings
from tests import tiny


@pytest.fixture(scope="module")
def own_job(tiny_root, tmp_path_factory):
    place = tiny.write_own(tmp_path_factory.mktemp("own") / "tables")
    own = {"task": "texts", "data_dir": "", "data_file": str(place), "text_columns": "title,text"}
    own |= {"label_column": "stars", "label_kind": "regression", "id_column": "number"}
    return job.load(settings.read(tiny.config(tiny_root, **own)))


def test_it_comes_back_as_it_was(own_job, tmp_path):
    made = bundle.of_job(own_job)
    written = made.write(tmp_path / "bundle", thresholds=(0.25, 0.5))
    assert written.thresholds == (0.25, 0.5)
    read = bundle.Bundle.read(tmp_path / "bundle")
    assert json.dumps(read.to_dict()) == json.dumps(written.to_dict())
    assert (read.kind, read.pair, read.text_columns, read.id_column) == (
        "regression",
        True,
        ("title", "text"),
        "number",
    )
    assert {"config.json", "tokenizer.json", "bundle.json"} <= {path.name for path in (tmp_path / "bundle").iterdir()}


def test_a_task_of_the_table_is_read_as_such(tiny_root, tmp_path):
    made = bundle.of_job(job.load(settings.read(tiny.config(tiny_root)))).write(tmp_path)
    task = made.as_task()
    assert (task.name, task.labels, task.small) == ("rte", ("entailment", "not_entailment"), True)
    assert made.pair


def test_an_own_table_is_a_task_of_its_own(own_job, tmp_path):
    task = bundle.of_job(own_job).write(tmp_path).as_task()
    assert (task.name, task.kind, task.report_metric) == ("tables", "regression", "r2")


def test_a_folder_of_before_gets_one_and_keeps_it(own_job, tmp_path):
    bundle.ensure(tmp_path, own_job)
    file = tmp_path / "bundle" / "bundle.json"
    before = file.stat().st_mtime_ns
    bundle.ensure(tmp_path, own_job)
    assert file.stat().st_mtime_ns == before
    shutil.rmtree(tmp_path / "bundle")
    bundle.ensure(tmp_path, own_job)
    assert file.is_file()


def test_a_report_needs_no_table_of_tasks(own_job, tmp_path):
    bundle.ensure(tmp_path, own_job)
    (tmp_path / "config.json").write_text(json.dumps(own_job.values))
    (cell,) = reading.load(tmp_path).cells
    assert cell.task.report_metric == "r2"


@pytest.mark.parametrize(
    ("content", "says"), [("{", "is not JSON"), ('{"format": 9}', "another format"), ('{"format": 1}', "has no")]
)
def test_a_damaged_one_is_one_line(tmp_path, content, says):
    (tmp_path / "bundle.json").write_text(content)
    with pytest.raises(InputError, match=says) as error:
        bundle.Bundle.read(tmp_path)
    assert "\n" not in str(error.value)
