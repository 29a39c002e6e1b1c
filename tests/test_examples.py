"""The examples run, and fine-tuning helps in them; README's lines run on stock transformers."""

import importlib.util
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from stablefit import paths

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


def _marks(path):
    return [pytest.mark.slow] if path.stem.startswith("pretrained") else []  # half a minute each


@pytest.mark.parametrize("path", [pytest.param(path, marks=_marks(path), id=path.stem) for path in EXAMPLES])
def test_example(path, capsys):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    before, after = module.main()
    assert after < 0.7 * before
    printed = capsys.readouterr().out
    assert "before" in printed
    assert "after" in printed


def test_there_is_one_for_linen_for_nnx_and_for_equinox():
    assert {path.stem.rsplit("_", 1)[1] for path in EXAMPLES} >= {"linen", "nnx", "equinox"}


class EncoderBlock(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.LayerNorm()(x + nn.MultiHeadDotProductAttention(2)(x))
        return nn.LayerNorm()(x + nn.Dense(8)(nn.gelu(nn.Dense(16)(x))))


class LinenTransformer(nn.Module):
    """As a person writes one: no name is given to a block."""

    @nn.compact
    def __call__(self, tokens):
        x = nn.Embed(5, 8)(tokens)
        for _ in range(3):
            x = EncoderBlock()(x)
        return nn.Dense(2)(x.mean(1))


class NnxBlock(nnx.Module):
    def __init__(self, rngs):
        self.attention = nnx.MultiHeadAttention(2, 8, decode=False, rngs=rngs)
        self.norm = nnx.LayerNorm(8, rngs=rngs)
        self.dropout = nnx.Dropout(0.1, rngs=rngs)

    def __call__(self, x):
        return self.norm(x + self.dropout(self.attention(x)))


class NnxTransformer(nnx.Module):
    def __init__(self, rngs):
        self.embed = nnx.Embed(5, 8, rngs=rngs)
        self.blocks = nnx.List([NnxBlock(rngs) for _ in range(3)])
        self.head = nnx.Linear(8, 2, rngs=rngs)

    def __call__(self, tokens):
        x = self.embed(tokens)
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean(1))


def linen_transformer(tokens):
    model = LinenTransformer()
    return jax.jit(model.init)(jax.random.key(0), tokens)["params"], lambda params: model.apply(
        {"params": params}, tokens
    )


def nnx_transformer(tokens):
    graph, params, rest = nnx.split(NnxTransformer(nnx.Rngs(0)), nnx.Param, ...)
    return params, lambda params: nnx.merge(graph, params, rest, copy=True)(tokens)


@pytest.mark.parametrize(("make", "blocks"), [(linen_transformer, "EncoderBlock_{}"), (nnx_transformer, "blocks/{}")])
def test_readme_s_lines_run_on_a_stock_transformer(make, blocks):
    """They are run as they stand: what mixes, what is slower, from the names that the libraries give."""
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    (snippet,) = [part for part in readme.split("```python\n")[1:] if "scale_by_layer_decay" in part]
    tokens = jnp.arange(8).reshape(2, 4) % 5
    params, forward = make(tokens)
    scope = {"params": params, "my_loss": lambda params, batch: optax.l2_loss(forward(params), batch).mean()}
    exec(snippet.split("```")[0], scope)
    gradients = jax.jit(jax.grad(scope["loss"]))(params, jax.random.key(1), jnp.ones((2, 2)))
    optimizer = scope["optimizer"]
    updates, _ = jax.jit(lambda g, p: optimizer.update(g, optimizer.init(p), p))(gradients, params)
    size = {
        name: float(np.max(np.abs(u)))
        for name, u in zip(paths.names(updates), jax.tree.leaves(updates), strict=True)
        if name.endswith("kernel")
    }
    for i in range(3):
        of_block = [u for name, u in size.items() if name.startswith(blocks.format(i) + "/") and u]
        assert of_block
        np.testing.assert_allclose(of_block, 2e-5 * 0.95 ** (3 - i), rtol=1e-2)
    apply, anchor = jax.jit(scope["mixout"].apply), scope["anchor"]
    mixed = apply(jax.random.key(0), jax.tree.map(lambda w: w + 1, params), anchor)
    changed = {
        name.rsplit("/", 1)[-1]
        for name, a, b in zip(paths.names(params), jax.tree.leaves(mixed), jax.tree.leaves(params), strict=True)
        if np.ptp(np.asarray(a) - np.asarray(b)) > 0.1
    }
    assert changed == {"kernel"}
