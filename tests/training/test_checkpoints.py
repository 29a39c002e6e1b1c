"""Saves of a run that is under way: the one before is there until the next is complete, and damage is said."""

import numpy as np
import pytest

from stablefit.errors import InputError
from stablefit.training import checkpoints

STATE = {"w": np.arange(3.0, dtype=np.float32)}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with saves of steps 2, 4 and 6, and step 6 once more with other values."""
    folder = tmp_path_factory.mktemp("state")
    for step, more in ((2, 0.0), (4, 0.0), (6, 0.0), (6, 100.0)):
        checkpoints.save_state(folder, step, {"w": STATE["w"] + step + more}, {"score": float(step)})
    return folder


def test_two_saves_are_kept(saved):
    assert checkpoints.saved_steps(saved) == [4, 6]
    assert checkpoints.saved_steps(saved / "nothing") == []


def test_a_save_is_read_with_its_record(saved):
    for step in (4, 6):
        state, record = checkpoints.restore_state(saved, step, STATE)
        np.testing.assert_array_equal(state["w"], STATE["w"] + step)
        assert record == {"score": step}


def test_what_cannot_be_read_is_said(saved):
    with pytest.raises(InputError, match="cannot be read"):
        checkpoints.restore_state(saved, 6, {"other": STATE["w"]})


def test_saved_parameters_take_the_place_of_what_was_there(tmp_path):
    checkpoints.save_params(tmp_path / "best", {"old": STATE["w"]})
    checkpoints.save_params(tmp_path / "best", STATE)
    kept = checkpoints.load_params(tmp_path / "best")
    assert kept.keys() == STATE.keys()
    np.testing.assert_array_equal(kept["w"], STATE["w"])
    with pytest.raises(InputError, match="is not there"):
        checkpoints.load_params(tmp_path / "last")
