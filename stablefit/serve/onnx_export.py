"""A model as one ONNX file: padded texts to logits, any number of them and of any length up to the model's.

Inputs and output have the names that Hugging Face's optimum gives them: int64 [batch, length] `input_ids`,
`attention_mask` (1 on text, 0 on padding behind it) and `token_type_ids`, to float32 `logits` [batch, classes], or
[batch, length, tags] of a tagger. It is our own network, a mean over pieces among it, traced by jax2onnx; a CRF and the
head of words that are not the first of their piece lie beside it, as with the weights.

The only file that knows jax2onnx, ONNX and ONNX Runtime, none of which stablefit requires.
"""

import dataclasses
import functools
import importlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stablefit.data.tags.tagging_encoding import EncodedTags
from stablefit.errors import InputError
from stablefit.models.families import family_of
from stablefit.models.heads import TokenClassifier
from stablefit.serve.model import Model

FILE = "model.onnx"
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
OUTPUT = "logits"
CLOSE = 1e-5  # of the largest logit, if that is above 1: how far those of ONNX Runtime may be from the model's
_OPSET = 17  # what ONNX Runtime has read since 2022
# jax2onnx asks for an orbax of before ours, which it does not use for this.
INSTALL = "pip install onnx onnx-ir onnxruntime; pip install --no-deps jax2onnx==0.17.0"


def require() -> None:
    """Refuses before anything is done.

    Raises:
        InputError: jax2onnx or what it needs is not installed.
    """
    for name in ("onnx", "jax2onnx"):
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise InputError(f"--onnx: {name} cannot be imported ({error}); run: {INSTALL}") from None


def write(of: Model, folder: Path, texts: Sequence[str]) -> str:
    """Writes `model.onnx` for a model of one member, and has ONNX Runtime, where it is installed, answer with it.

    Args:
        of: the model.
        folder: exists; the caller removes it if this fails.
        texts: to compare logits on.

    Returns:
        a sentence on how it was checked.

    Raises:
        InputError: it cannot be converted or written, or gives other logits than the model.
    """
    import onnx  # pyright: ignore[reportMissingImports]

    file = folder / FILE
    graph = _converted(of)
    try:
        onnx.save(graph, str(file))
    except ValueError as error:
        raise InputError(f"{FILE} cannot be written ({error}); a file of ONNX holds at most 2 GB") from None
    try:
        onnx.checker.check_model(str(file))
    except onnx.checker.ValidationError as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"what jax2onnx made is no model of ONNX ({reason}); leave --onnx out") from None
    try:
        import onnxruntime  # pyright: ignore[reportMissingImports]
    except ImportError:
        return f"{FILE} was not checked: ONNX Runtime is not installed (pip install onnxruntime)"
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])

    def run(*arrays: np.ndarray) -> np.ndarray:
        return session.run([OUTPUT], dict(zip(INPUTS, arrays, strict=True)))[0]

    difference, most = _compared(of, run, texts)
    if not difference <= CLOSE * max(1.0, most):
        raise InputError(
            f"{FILE} does not give the model's logits (they differ by {difference:.1e}), so nothing was written; "
            "leave --onnx out, or try another version of jax2onnx"
        )
    return f"{FILE}: ONNX Runtime gives the same logits, to {difference:.0e}"


def _converted(of: Model) -> Any:
    """The graph, with int64 inputs and two axes of any size."""
    import jax2onnx  # pyright: ignore[reportMissingImports]

    # They warn of every example of theirs that needs a package, and of every shape that is computed.
    loggers = [logging.getLogger(name) for name in ("jax2onnx", "onnx_ir")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    shape = jax.ShapeDtypeStruct  # of names, which jax2onnx takes for axes of any size
    inputs: Any = [("batch", "length")] * len(INPUTS)
    try:
        graph = jax2onnx.to_onnx(
            _logits(of),
            [shape(axes, jnp.int32) for axes in inputs],
            model_name="stablefit",
            opset=_OPSET,
            input_names=list(INPUTS),
            output_names=[OUTPUT],
        )
    except Exception as error:  # of whatever it meets
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"jax2onnx cannot convert this model ({reason}); leave --onnx out") from error
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
    return _with_int64(graph)


def _logits(of: Model) -> Callable[..., jax.Array]:
    """The function that is converted."""
    params, config, network = of.members[0], of.config, of.network

    def positions(tokens_BxT: jax.Array) -> jax.Array:
        return jnp.cumsum(jnp.ones_like(tokens_BxT), axis=1) - 1

    if isinstance(network, TokenClassifier):
        family = family_of(config).encoder
        encoder = family(config, with_pooler=family.tags_pooled, checked=False)
        kernel, bias = (params["head"][name][..., : network.num_outputs] for name in ("kernel", "bias"))

        def emissions(tokens_BxT: jax.Array, mask_BxT: jax.Array, types_BxT: jax.Array) -> jax.Array:
            inputs = (tokens_BxT, types_BxT, mask_BxT, positions(tokens_BxT))
            hidden_BxTxD = encoder.apply({"params": params["encoder"]}, *inputs, deterministic=True)
            if family.tags_pooled:
                pool = functools.partial(encoder.apply, {"params": params["encoder"]}, method="pool")
                hidden_BxTxD = pool(hidden_BxTxD, deterministic=True)
            return hidden_BxTxD @ kernel + bias[None, None]

        return emissions
    plain = dataclasses.replace(network, serving=False, checked=False)

    def logits(tokens_BxT: jax.Array, mask_BxT: jax.Array, types_BxT: jax.Array) -> jax.Array:
        inputs = (tokens_BxT, types_BxT, mask_BxT, positions(tokens_BxT))
        return plain.apply({"params": params}, *inputs, deterministic=True)  # pyright: ignore[reportReturnType]

    return logits


def _with_int64(graph: Any) -> Any:
    """Inputs of int64, as every program that feeds a BERT has them; ours are int32 inside."""
    from onnx import TensorProto, helper  # pyright: ignore[reportMissingImports]

    inside = {name: f"{name}_int32" for name in INPUTS}
    for node in graph.graph.node:
        for i, name in enumerate(node.input):
            node.input[i] = inside.get(name, name)
    for one in graph.graph.input:
        one.type.tensor_type.elem_type = TensorProto.INT64
    casts = [helper.make_node("Cast", [name], [new], to=TensorProto.INT32) for name, new in inside.items()]
    nodes = [*casts, *graph.graph.node]
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)
    return graph


def _compared(of: Model, run: Callable[..., np.ndarray], texts: Sequence[str]) -> tuple[float, float]:
    """The largest difference of logits, infinite if one is no number, and the model's largest logit."""
    encoded = of.encode(texts, texts[::-1] if of.bundle.pair else None)
    [expected] = of.run(encoded)
    found: list[np.ndarray] = []
    for which, width in ((slice(0, 1), int(encoded.lengths[0])), (slice(1, None), None)):  # two shapes
        arrays = (getattr(encoded, name)[which, :width] for name in ("tokens", "segments", "types"))
        found += list(run(*(array.astype(np.int64) for array in arrays)))
    pairs = list(zip(found, expected, strict=True))
    if isinstance(encoded, EncodedTags):
        firsts = [_first_words(encoded, i) for i in range(len(encoded))]
        pairs = [(a[encoded.words[i, firsts[i]]], b[firsts[i]]) for i, (a, b) in enumerate(pairs)]
    difference = np.max([np.abs(a - b).max(initial=0.0) for a, b in pairs])
    return float(np.nan_to_num(difference, nan=np.inf)), float(np.max([np.abs(b).max(initial=0.0) for _, b in pairs]))


def _first_words(encoded: EncodedTags, window: int) -> np.ndarray:
    """The words of a window that are the first of their piece: the others are read by the other head."""
    of = encoded.windows[window]
    return np.flatnonzero(np.diff(encoded.words[window, : of.end - of.start], prepend=-1))
