"""What a run takes from an intermediate task: always the encoder, the head only for the same labels."""

import json

import numpy as np
import pytest

from stablefit.data import tasks
from stablefit.errors import InputError
from stablefit.models import hf
from stablefit.objectives.classification import Classification
from stablefit.training import checkpoints, intermediate, job, plan, rundir, settings
from tests import tiny

MNLI, RTE = (tasks.get_task(name).labels for name in ("mnli", "rte"))


@pytest.fixture(scope="module")
def encoder(tiny_root):
    """Weights that are not the model's."""
    fresh = job.load(settings.read(tiny.config(tiny_root)))
    params = fresh.network.whole(fresh.pretrained)["encoder"]
    return params | {"pooler": {"kernel": np.full((8, 8), 0.5, np.float32), "bias": np.zeros(8, np.float32)}}


@pytest.fixture
def finished(encoder, tmp_path):
    """`finished(labels)`: the folder of a seed that was trained for these labels; None leaves no record of them."""

    def make(labels, outputs=None, task="mnli"):
        n = outputs or len(labels)
        head = {"kernel": np.ones((8, n), np.float32), "bias": np.zeros(n, np.float32)}
        folder = tmp_path / "run" / "seed_3"
        checkpoints.save_params(folder / "best", {"encoder": encoder, "head": head})
        if labels is not None:
            rundir.save_predictions(folder, {"labels": np.array(labels)})
        rows = [{"seed": seed, "task": task, "model": "m", "fingerprint": f"f{seed}"} for seed in (2, 3)]
        (tmp_path / "run" / "results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return folder

    return make


def load(tiny_root, folder, **changes):
    return job.load(settings.read(tiny.config(tiny_root, init_from=str(folder), **changes)))


def test_mnli_before_rte_leaves_its_encoder(finished, encoder, tiny_root):
    folder = finished(MNLI)
    the_job = load(tiny_root, folder)
    assert set(the_job.pretrained) == {"encoder"}
    np.testing.assert_array_equal(the_job.pretrained["encoder"]["pooler"]["kernel"], encoder["pooler"]["kernel"])
    assert f"start    encoder of {folder}; head new: its labels are others" in plan.announcement(the_job)
    record = {"folder": str(folder), "kept": ["encoder"], "task": "mnli", "model": "m", "fingerprint": "f3"}
    assert the_job.provenance["init_from"] == record


@pytest.mark.parametrize(
    ("labels", "kept", "why"),
    [
        (RTE, {"encoder", "head"}, ""),
        (RTE[::-1], {"encoder"}, "its labels are others"),
        (("0", "1"), {"encoder"}, "its labels are others"),
        (None, {"encoder"}, "it left no record of its labels"),
    ],
)
def test_a_head_is_kept_for_the_same_labels_in_the_same_order(labels, kept, why, finished, tiny_root):
    the_job = load(tiny_root, finished(labels, 2))
    assert set(the_job.pretrained) == kept
    assert the_job.start.said.endswith(why)


@pytest.mark.parametrize(("before", "kept"), [("cola", ["encoder", "head"]), ("mrpc", ["encoder"])])
def test_numbers_are_the_same_labels_in_the_same_task_only(before, kept, finished, encoder, tiny_root):
    """A classifier of paraphrases is no start for one of grammar, though both say 0 and 1."""
    objective = Classification(tasks.get_task("cola"))
    config = hf.load_config(tiny_root / "model")
    folder = finished(("0", "1"), task=before)
    _, start = intermediate.load(folder, {"encoder": encoder}, config, objective)
    assert start.record["kept"] == kept
    assert start.said.endswith("head new: its labels are others") == (before == "mrpc")


def test_another_encoder_is_refused(finished, encoder, tiny_root):
    smaller = encoder | {"layer_0": {"kernel": np.ones(3)}}
    folder = finished(RTE)
    checkpoints.save_params(folder / "best", {"encoder": smaller, "head": {}})
    with pytest.raises(InputError, match=r"seed_3 was trained from another encoder; config field model"):
        load(tiny_root, folder)
