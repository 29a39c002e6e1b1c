"""A stock BERT with the logits of our poolings, by our own encoder: rows of different lengths, padded."""

import jax
import numpy as np
import pytest

from stablefit.models import hf, hf_export
from stablefit.models.heads import SequenceClassifier
from tests.serve import making


def logits(params, config, pooling, lengths=(9, 4, 1)):
    """Of three padded rows of random tokens."""
    random = np.random.default_rng(0)
    tokens = random.integers(5, config.vocab_size, (len(lengths), 16)).astype(np.int32)
    segments = (np.arange(16) < np.array(lengths)[:, None]).astype(np.int32)
    model = SequenceClassifier(config, 3, pool=pooling)
    apply = jax.jit(model.apply, static_argnames="deterministic")
    return np.asarray(apply({"params": params}, tokens, np.zeros_like(tokens), segments, deterministic=True))


@pytest.mark.parametrize("pooling", ["pooler", "cls", "mean"])
def test_a_stock_network_has_our_logits(tiny_root, pooling):
    of = making.bundle(tiny_root / "model", pooling=pooling)
    config, params = hf.load_config(of.folder), making.parameters(of, 0)
    ours = logits(params, config, pooling)
    stock, deeper = hf_export.stock(params, config, pooling)
    assert deeper.num_hidden_layers == config.num_hidden_layers + (pooling == "mean")
    np.testing.assert_allclose(logits(stock, deeper, "pooler"), ours, atol=1e-5, rtol=0)
    assert np.ptp(ours, axis=0).min() > 0.1  # rows differ, so the comparison says something


def test_the_constants_are_powers_of_two_with_room():
    """Multiplying by them rounds nothing, and squares of LAMBDA stay far inside float32."""
    for value in (hf_export.LAMBDA, hf_export.DELTA):
        assert np.frexp(value)[0] == 0.5
    assert 2**24 < hf_export.LAMBDA < 2**50
    z = np.float32(2**8 * hf_export.DELTA)
    assert np.tanh(z) == z


def test_the_residual_must_vanish(tiny_root, monkeypatch):
    """What a smaller constant leaves of [CLS]: the test above would see it."""
    of = making.bundle(tiny_root / "model")
    config, params = hf.load_config(of.folder), making.parameters(of, 0)
    monkeypatch.setattr(hf_export, "LAMBDA", 2.0**10)
    stock, deeper = hf_export.stock(params, config, "mean")
    assert np.abs(logits(stock, deeper, "pooler") - logits(params, config, "mean")).max() > 1e-4
