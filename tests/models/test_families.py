"""Every family against golden arrays of PyTorch's transformers: hidden states, logits, gradients, taggers."""

import functools
from typing import Any

import jax
import numpy as np
import optax
import pytest

from stablefit import paths
from stablefit.models import heads, hf
from stablefit.models.config import EncoderConfig
from stablefit.models.families import family_of, read_config
from tests.golden import make_families as golden
from tests.models import family_cases as cases

NAMES = list(cases.CASES)
ALIKE = ("bert, one type", "xlm-roberta", "camembert", "electra, wide", "deberta-v1, one kind", "xlnet, clamped")
DIFFERENT = [name for name in NAMES if name not in ALIKE]


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    with np.load(golden.FILE, allow_pickle=False) as file:
        return dict(file)


@functools.cache
def config_of(name: str) -> EncoderConfig:
    return read_config(cases.CASES[name])


def in_files(config: EncoderConfig, architecture: str = hf.SEQUENCES) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a task model's file."""
    kernel, bias = hf._head_names(family_of(config), architecture).values()
    head = {kernel: (cases.N_LABELS, config.hidden_size), bias: (cases.N_LABELS,)}
    return {entry.in_file: entry.stored_shape for entry in hf.name_table(config)} | head


def tree_of(config: EncoderConfig, values: dict[str, np.ndarray], architecture: str = hf.SEQUENCES) -> dict[str, Any]:
    """Our parameters from arrays under the names of files."""
    tree: dict[str, Any] = {}
    for entry in hf.name_table(config):
        if entry.in_file in values:
            hf._put(tree, f"encoder/{entry.ours}", entry.from_file(values[entry.in_file]))
    for ours, theirs in hf._head_names(family_of(config), architecture).items():
        if theirs in values:
            hf._put(tree, ours, values[theirs].T)
    return tree


@functools.cache
def params_of(name: str) -> dict[str, Any]:
    config = config_of(name)
    return tree_of(config, cases.weights(in_files(config)))


def inputs_of(batch: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    return batch["tokens"], batch["types"], batch["segments"]


@pytest.mark.parametrize("name", NAMES)
def test_it_is_torchs(arrays, name):
    config, params, batch = config_of(name), params_of(name), cases.batch(cases.CASES[name])
    encoder, model = family_of(config).encoder(config), heads.SequenceClassifier(config, cases.N_LABELS)

    @jax.jit
    def everything(params):
        def loss(params):
            logits = model.apply({"params": params}, *inputs_of(batch), deterministic=True)
            return optax.softmax_cross_entropy_with_integer_labels(logits, batch["labels"]).mean(), logits

        hidden = encoder.apply({"params": params["encoder"]}, *inputs_of(batch), deterministic=True)
        return hidden, *jax.grad(loss, has_aux=True)(params)

    hidden, gradient, logits = everything(params)
    theirs = {key.removeprefix(f"{name}/"): value for key, value in arrays.items() if key.startswith(f"{name}/")}
    real = batch["segments"].astype(bool)
    np.testing.assert_allclose(hidden[real], theirs["hidden"][real], rtol=0, atol=2e-5)
    np.testing.assert_allclose(logits, theirs["logits"], rtol=0, atol=1e-5)
    expected = {key.removeprefix("gradient/"): value for key, value in theirs.items() if key.startswith("gradient/")}
    gradients = tree_of(config, expected)
    assert paths.names(gradients) == paths.names(params)
    largest = max(np.abs(g).max() for g in jax.tree.leaves(gradients))
    apart = jax.tree.map(lambda a, b: float(np.abs(a - b).max() / largest), gradient, gradients)
    assert max(jax.tree.leaves(apart)) <= 1e-5, apart


@pytest.mark.parametrize("name", [name for name in NAMES if not family_of(config_of(name)).no_tagger])
def test_its_tagger_is_torchs(arrays, name):
    config, batch = config_of(name), cases.batch(cases.CASES[name])
    params = tree_of(config, cases.weights(in_files(config, hf.TOKENS)), hf.TOKENS)
    if not family_of(config).encoder.tags_pooled:
        params["encoder"].pop("pooler")
    n, width = batch["tokens"].shape
    positions = np.broadcast_to(np.arange(width), (n, width))
    model = heads.TokenClassifier(config, cases.N_LABELS)
    places = np.arange(n), np.zeros(n, int), positions
    found = jax.jit(functools.partial(model.apply, deterministic=True))(
        {"params": params}, *inputs_of(batch), positions, *places
    )
    real = batch["segments"].astype(bool)
    np.testing.assert_allclose(found[real], arrays[f"{name}/tag_logits"][real], rtol=0, atol=1e-5)
