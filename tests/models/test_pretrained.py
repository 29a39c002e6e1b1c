"""An encoder for a program of one's own: what is loaded, and the way back."""

import jax
import numpy as np
import pytest

import stablefit
from stablefit.errors import InputError
from stablefit.models.families import read_config
from tests import tiny
from tests.models import family_cases


@pytest.mark.parametrize("name", ["bert", "mpnet", "modernbert"])
def test_loaded_saved_and_loaded_again(name, tmp_path):
    sizes = {"vocab_size": len(tiny.VOCABULARY), "pad_token_id": 0}
    tiny.write_model(tmp_path / "model", config=read_config(family_cases.CASES[name] | sizes))
    encoder, params, config = stablefit.load_pretrained(tmp_path / "model")
    assert encoder.with_pooler == ("pooler" in params) == (name != "mpnet")
    tokens = np.array([[2, 7, 9, 3, 0]], np.int32)
    hidden = encoder.apply({"params": params}, tokens, 0 * tokens, (tokens > 0).astype(np.int32), deterministic=True)
    assert isinstance(hidden, jax.Array)
    assert hidden.shape == (1, 5, 12)
    stablefit.save_pretrained(tmp_path / "saved", params, config)
    _, again, same = stablefit.load_pretrained(tmp_path / "saved")
    assert same == config
    jax.tree.map(np.testing.assert_array_equal, again, params)
    with pytest.raises(InputError, match=r"saved/config\.json is there already; give another directory"):
        stablefit.save_pretrained(tmp_path / "saved", params, config)


def test_dropout_is_that_which_was_asked_for(tmp_path):
    tiny.write_model(tmp_path / "model")
    tokens = np.array([[2, 7, 9, 3]], np.int32)
    inputs = tokens, 0 * tokens, np.ones_like(tokens)
    found = {}
    for rate in (0.0, 0.5):
        encoder, params, _ = stablefit.load_pretrained(tmp_path / "model", dropout=rate)
        rngs = {"dropout": jax.random.key(0)}
        found[rate] = np.asarray(encoder.apply({"params": params}, *inputs, deterministic=False, rngs=rngs))
    assert np.abs(found[0.0] - found[0.5]).max() > 0.01
