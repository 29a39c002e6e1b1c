"""Training only the word pieces that occur gives what training all of them gives."""

import numpy as np
import pytest

from stablefit.models import vocabulary
from stablefit.training import checkpoints, job, loop, progress, rundir, settings
from tests import tiny

DECAYS = {
    "weight decay, to init, by layers, mixout": {
        "weight_decay": 0.3,
        "init_decay": 0.2,
        "layer_decay": 0.9,
        "mixout_rate": 0.3,
        "dropout": 0.0,
    },
    "weight decay, unscaled to init": {"weight_decay": 0.5, "init_decay_unscaled": 0.05},
    "projection": {"projection_decay": 1.0},
}


def finished(root, folder, **changes):
    config = tiny.config(root, learning_rate=1e-2, **changes)
    loaded = job.load(settings.read(config))
    with rundir.RunDirectory(folder, loaded.settings) as directory, progress.Progress(0, quiet=True) as display:
        (row,) = loop.run(loaded, directory, display)
    return loaded, row, checkpoints.load_params(folder / "seed_0" / "last")


@pytest.mark.parametrize(
    "changes",
    [pytest.param(one, id=name, marks=[pytest.mark.slow] * (i > 0)) for i, (name, one) in enumerate(DECAYS.items())],
)
def test_rows_that_never_occur_follow_exactly(one_block_root, tmp_path, monkeypatch, changes):
    loaded, compact, params = finished(one_block_root, tmp_path / "compact", **changes)
    assert loaded.words is not None
    assert len(loaded.words.pieces) + 1 < len(loaded.words.table)
    monkeypatch.setattr(job, "_rest_follows", lambda _: False)
    everything, whole, reference = finished(one_block_root, tmp_path / "whole", **changes)
    assert everything.words is None
    assert everything.network.shapes == loaded.network.whole_shapes

    table, expected = (p["encoder"]["embeddings"]["word_embeddings"]["embedding"] for p in (params, reference))
    assert table.shape == loaded.words.table.shape
    rest = np.setdiff1d(np.arange(len(table)), loaded.words.pieces)
    moved = not np.array_equal(expected[rest], loaded.words.table[rest])
    assert moved == ("weight_decay" in changes), "the rest moves by weight decay, and by nothing else"
    np.testing.assert_allclose(table[rest], expected[rest], rtol=2e-6)
    np.testing.assert_allclose(table, expected, rtol=1e-3, atol=1e-4)
    assert compact["test_last"]["loss"] == pytest.approx(whole["test_last"]["loss"], rel=1e-3)


@pytest.mark.parametrize(
    "changes",
    [
        {"reinit_patterns": "encoder/embeddings/.*"},
        {"weight_decay": 0.1, "init_decay_coupled": 0.1},
        {"weight_decay": 0.1, "projection_decay": 0.1},
    ],
)
def test_where_the_rest_would_not_follow_all_is_trained(one_block_root, changes):
    assert job.load(settings.read(tiny.config(one_block_root, **changes))).words is None


def test_numbers_and_rows_belong_together():
    table = np.arange(20.0, dtype=np.float32).reshape(10, 2)
    words = vocabulary.occurring([np.array([[9, 0], [4, 4]]), np.array([2])], table)
    rows = words.compact()[words.renumber(np.array([4, 9, 2, 0]))]
    assert rows.tolist() == table[[4, 9, 2, 0]].tolist()
