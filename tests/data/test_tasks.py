"""The table of tasks, and the finding of their files."""

import pytest

from stablefit.data.tasks import TASKS, get_task, task_file, task_folder
from stablefit.errors import InputError
from stablefit.objectives import entity_metrics, metrics


def test_names():
    assert list(TASKS) == [
        *("rte", "mrpc", "cola", "stsb", "sst2", "qnli", "qqp", "mnli", "reviews", "texts"),
        *("ccks", "msra", "tagging", "tagging_characters"),
    ]
    assert [name for name, task in TASKS.items() if task.small] == ["rte", "mrpc", "cola", "stsb"]
    with pytest.raises(InputError, match="task 'rtee' is not known; known tasks: rte, mrpc, cola"):
        get_task("rtee")


@pytest.mark.parametrize("name", TASKS)
def test_a_tasks_metrics_are_computed(name):
    task = get_task(name)
    if task.kind == "tagging":
        known = entity_metrics.score_spans([], []).as_row()
    else:
        known = metrics.score_names(task.kind, task.n_classes)
        assert task.n_outputs == (task.n_classes or 1)
    assert {task.selection_metric, task.report_metric} <= set(known)


def test_mrpc_is_selected_by_accuracy_and_reported_by_f1():
    task = get_task("mrpc")
    assert (task.selection_metric, task.report_metric) == ("accuracy", "f1")


def test_data_dir_is_the_folder_or_one_that_holds_it(tmp_path):
    folder = tmp_path / "RTE"
    folder.mkdir()
    (folder / "train_subsample.tsv").touch()
    task = get_task("rte")
    assert task_folder(task, tmp_path) == task_folder(task, str(folder)) == folder
    assert task_file(task, tmp_path, "train") == folder / "train_subsample.tsv"
    (folder / "train.tsv").touch()
    assert task_file(task, folder, "train") == folder / "train.tsv"
    with pytest.raises(InputError, match=r"no dev file of task rte; looked for dev.tsv, train_heldout.tsv"):
        task_file(task, folder, "dev")


def test_a_data_dir_without_the_task(tmp_path):
    with pytest.raises(InputError, match=r"holds no training file of task rte; looked in it and in its folder RTE for"):
        task_folder(get_task("rte"), tmp_path)
    with pytest.raises(InputError, match=r"data_dir '/nowhere' is not a folder"):
        task_folder(get_task("rte"), "/nowhere")
