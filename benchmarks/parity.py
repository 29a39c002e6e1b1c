"""Every family beside PyTorch's transformers: how far hidden states, logits and gradients are apart, and how fast.

    PYTHONPATH=$PWD TORCH_PYTHON -m benchmarks.parity --out=benchmarks/results/parity.json [NAME=DIR ...]

TORCH_PYTHON is of an environment with stablefit's requirements and PyTorch. Models of published sizes start at random
by transformers, with a vocabulary of 4,000, biases and scales moved off 0 and 1; NAME=DIR adds a directory with real
weights. Each is saved by transformers, read by stablefit, and given a batch of rows of 48, 31 and 5 tokens with
padding, and two token types where there are two. `hidden` and `logits` are largest differences, `gradient` is the
largest difference over the largest gradient, all in float32 (`gradient_f64` and `torch_gradient_f64` are ours and
theirs beside the same in float64, which some rows lack); `bf16` is the root mean square difference of hidden states
in bfloat16 from the same program's in float32, ours over theirs. `exact` says that load, save and load gives the same
bits, `opened` that transformers opens what was saved and computes the same logits to 1e-5. Seconds are of one forward
and backward pass over 8 rows of 64, the median of five, dropout off, and of our compilation. A row is written as soon
as it is there; a file that has it already keeps it.
"""

import argparse
import functools
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.step_time import machine

_BASE = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
_V3 = {"type_vocab_size": 0, "relative_attention": True, "position_buckets": 256, "norm_rel_ebd": "layer_norm"}
_V3 |= {"share_att_key": True, "pos_att_type": "p2c|c2p", "position_biased_input": False}
_V2 = {**_V3, "conv_kernel_size": 3, "conv_act": "gelu"}
_V1 = {"type_vocab_size": 0, "relative_attention": True, "position_biased_input": False, "pos_att_type": "p2c|c2p"}
_BART = {"d_model": 768, "encoder_layers": 6, "decoder_layers": 6, "encoder_ffn_dim": 3072, "decoder_ffn_dim": 3072}
_BART |= {"encoder_attention_heads": 12, "decoder_attention_heads": 12}
_MODERN = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}

SIZES: dict[str, tuple[str, dict[str, Any]]] = {
    "BERT-base": ("bert", _BASE),
    "RoBERTa-base": (
        "roberta",
        {**_BASE, "max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5},
    ),
    "XLM-R-base": ("xlm-roberta", {**_BASE, "max_position_embeddings": 514, "type_vocab_size": 1}),
    "CamemBERT-base": ("camembert", {**_BASE, "max_position_embeddings": 514, "type_vocab_size": 1}),
    "DeBERTa-v3-small": ("deberta-v2", {**_BASE, **_V3, "num_hidden_layers": 6}),
    "DeBERTa-v3-base": ("deberta-v2", {**_BASE, **_V3}),
    "DeBERTa-v2, 4 blocks of xlarge": ("deberta-v2", {**_V2, "hidden_size": 1536, "num_hidden_layers": 4}),
    "ELECTRA-small": ("electra", {"hidden_size": 256, "num_attention_heads": 4, "intermediate_size": 1024}),
    "ELECTRA-base": ("electra", {**_BASE, "embedding_size": 768}),
    "DistilBERT-base": ("distilbert", {}),
    "MPNet-base": ("mpnet", {**_BASE, "max_position_embeddings": 514, "layer_norm_eps": 1e-5}),
    "ALBERT-base": ("albert", {**_BASE}),
    "ModernBERT-base": ("modernbert", _MODERN),
    "DeBERTa-base": ("deberta", {**_BASE, **_V1}),
    "XLNet-base": ("xlnet", {"d_model": 768, "n_layer": 12, "n_head": 12, "d_inner": 3072}),
    "BART-base": ("bart", _BART),
}


def batch(config: Any, lengths: tuple[int, ...], width: int) -> dict[str, np.ndarray]:
    """Rows of random tokens with padding; the second half of each is a second text if there are types for it."""
    random = np.random.RandomState(0)
    column, length = np.arange(width)[None, :], np.array(lengths)[:, None]
    mask = (column < length).astype(np.int32)
    types = (column >= length // 2) * mask if config.type_vocab_size > 1 else 0 * mask
    tokens = np.where(mask == 1, random.randint(5, config.vocab_size, mask.shape), config.pad_token_id)
    if config.ends_with is not None:
        tokens = np.where(column == length - 1, config.ends_with, tokens)
    labels = random.randint(0, 3, len(lengths))
    return {name: np.asarray(x, np.int32) for name, x in zip(_NAMES, (tokens, types, mask, labels), strict=True)}


_NAMES = ("tokens", "types", "segments", "labels")


class Theirs:
    """A model of transformers and what it computes."""

    def __init__(self, model: Any):
        self.model = model.eval()

    def inputs(self, of: dict[str, np.ndarray]) -> dict[str, Any]:
        import inspect

        import torch  # pyright: ignore[reportMissingImports]

        names = {"input_ids": "tokens", "attention_mask": "segments", "token_type_ids": "types"}
        known = inspect.signature(self.model.forward).parameters
        given = {theirs: self.turned(of[ours], of, 1) for theirs, ours in names.items() if theirs in known}
        return {theirs: torch.tensor(array).long() for theirs, array in given.items()}

    def turned(self, rows: np.ndarray, of: dict[str, np.ndarray], way: int) -> np.ndarray:
        """Rows with their padding on the left (way 1), or back (-1), for what reads the last column."""
        if self.model.config.model_type != "xlnet":
            return rows
        shifts = way * (of["segments"].shape[1] - of["segments"].sum(1))
        return np.stack([np.roll(row, shift, axis=0) for row, shift in zip(rows, shifts, strict=True)])

    def outputs(self, of: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        import torch  # pyright: ignore[reportMissingImports]

        with torch.no_grad():
            hidden = self.model.base_model(**self.inputs(of)).last_hidden_state
            hidden = self.turned(hidden.float().numpy(), of, -1)
            return hidden, self.model(**self.inputs(of)).logits.float().numpy()

    def gradient(self, of: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        import torch  # pyright: ignore[reportMissingImports]

        self.model.zero_grad()
        logits = self.model(**self.inputs(of)).logits
        torch.nn.functional.cross_entropy(logits, torch.tensor(of["labels"]).long()).backward()
        return {name: p.grad.numpy() for name, p in self.model.named_parameters() if p.grad is not None}


def random_model(model_type: str, sizes: dict[str, Any]) -> Any:
    """A sequence classifier that starts at random, biases and scales moved."""
    import torch  # pyright: ignore[reportMissingImports]
    import transformers

    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(model_type, **{"vocab_size": 4000, **sizes}, num_labels=3)
    model = transformers.AutoModelForSequenceClassification.from_config(config, attn_implementation="eager")
    with torch.no_grad():
        for value in model.parameters():
            if value.ndim == 1:
                value += 0.05 * torch.randn_like(value)
    return model


def real_model(folder: str) -> Any:
    """The weights of a directory with a new head."""
    import torch  # pyright: ignore[reportMissingImports]
    import transformers

    torch.manual_seed(0)
    of = transformers.AutoModelForSequenceClassification
    return of.from_pretrained(folder, num_labels=3, attn_implementation="eager", dtype=torch.float32)


def compare(model: Any) -> dict[str, Any]:
    """The figures of one model."""
    import jax
    import jax.numpy as jnp
    import optax
    import torch  # pyright: ignore[reportMissingImports]

    from stablefit.models import heads, hf
    from stablefit.models.families import family_of

    with tempfile.TemporaryDirectory() as place:
        theirs = Theirs(model)
        model.save_pretrained(place)
        config = hf.load_config(place)
        family = family_of(config)
        encoder, report = hf.load_encoder(place, config)
        params = {"encoder": encoder, "head": hf.load_head(place, config)}
        again = Path(place) / "again"
        hf.save_encoder(again, params, config.to_dict())
        second, _ = hf.load_encoder(again, hf.load_config(again))
        exact = jax.tree.all(jax.tree.map(lambda a, b: a.tobytes() == b.tobytes(), encoder, second))
        of = batch(config, (48, 31, 5), 48)
        kept = {"num_labels": 3, "attn_implementation": "eager"}
        opened = Theirs(type(model).from_pretrained(again, **kept)).outputs(of)[1]

        def both(params: Any, dtype: Any) -> tuple[Any, Any]:
            inputs = (of["tokens"], of["types"], of["segments"])
            hidden = family.encoder(config, dtype=dtype).apply({"params": encoder}, *inputs, deterministic=True)
            model = heads.SequenceClassifier(config, 3, dtype=dtype)
            return hidden, model.apply({"params": params}, *inputs, deterministic=True)

        def loss(params: Any) -> Any:
            logits = both(params, jnp.float32)[1]
            return optax.softmax_cross_entropy_with_integer_labels(logits, of["labels"]).mean()

        run = jax.jit(both, static_argnums=1)
        hidden, logits = run(params, jnp.float32)
        gradient = jax.jit(jax.grad(loss))(params)
        real = of["segments"].astype(bool)
        their_gradient = theirs.gradient(of)
        their_hidden, their_logits = theirs.outputs(of)
        row = {
            "family": family.title,
            "model_type": config.model_type,
            "parameters": report.num_parameters,
            "hidden": float(np.abs(np.asarray(hidden) - their_hidden)[real].max()),
            "logits": float(np.abs(np.asarray(logits) - their_logits).max()),
            "gradient": _gradient_apart(gradient, their_gradient, config),
            "exact": bool(exact),
            "opened": bool(np.abs(opened - their_logits).max() <= 1e-5),
        }
        model.to(torch.float64)
        right = theirs.gradient(of)
        model.to(torch.float32)
        largest = max(float(np.abs(g).max()) for g in right.values())
        row["gradient_f64"] = _gradient_apart(gradient, right, config)
        row["torch_gradient_f64"] = max(float(np.abs(their_gradient[k] - g).max()) for k, g in right.items()) / largest
        rough = np.asarray(run(params, jnp.bfloat16)[0])
        their_rough = Theirs(model.to(torch.bfloat16)).outputs(of)[0]  # rounds the weights: nothing is compared after
        ours, other = (_rms(a - b, real) for a, b in ((rough, hidden), (their_rough, their_hidden)))
        model.to(torch.float32)
        row["bf16"] = ours / other
        return {**row, **_seconds(theirs, params, config)}


def _rms(apart: np.ndarray, real: np.ndarray) -> float:
    return float(np.sqrt(np.square(np.asarray(apart, np.float64)[real]).mean()))


def _gradient_apart(gradient: Any, theirs: dict[str, np.ndarray], config: Any) -> float:
    from stablefit.models import hf
    from stablefit.models.families import family_of
    from stablefit.paths import map_named

    expected = {f"encoder/{entry.ours}": entry.from_file(theirs[entry.in_file]) for entry in hf.name_table(config)}
    classifier = family_of(config).classifier
    expected |= {"head/kernel": theirs[f"{classifier}.weight"].T, "head/bias": theirs[f"{classifier}.bias"]}
    largest = max(float(np.abs(g).max()) for g in theirs.values())
    found: list[float] = []

    def one(name: str, ours: Any) -> None:
        found.append(float(np.abs(np.asarray(ours) - expected[name]).max()))

    map_named(one, gradient)
    return max(found) / largest


def _seconds(theirs: Theirs, params: Any, config: Any) -> dict[str, float]:
    """A forward and backward pass of each, in turns, and our compilation."""
    import jax
    import optax

    from stablefit.models import heads

    of = batch(config, (64,) * 8, 64)
    model = heads.SequenceClassifier(config, 3)

    def loss(params: Any) -> Any:
        inputs = (of["tokens"], of["types"], of["segments"])
        logits: Any = model.apply({"params": params}, *inputs, deterministic=True)
        return optax.softmax_cross_entropy_with_integer_labels(logits, of["labels"]).mean()

    params = jax.device_put(params)
    started = time.perf_counter()
    step = jax.jit(jax.grad(loss)).lower(params).compile()
    compiled = time.perf_counter() - started
    ours, other = [], []
    for turn in range(6):
        started = time.perf_counter()
        jax.block_until_ready(step(params))
        middle = time.perf_counter()
        theirs.gradient(of)
        if turn:  # the first of each warms up
            ours.append(middle - started)
            other.append(time.perf_counter() - middle)
    step_s, torch_s = statistics.median(ours), statistics.median(other)
    ratio = statistics.median(b / a for a, b in zip(ours, other, strict=True))
    return {"compile_s": compiled, "step_s": step_s, "torch_step_s": torch_s, "torch_over_ours": ratio}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    parser.add_argument("--only", default="", help="of the published sizes those of these names, with commas between")
    parser.add_argument("real", nargs="*", help="NAME=DIR")
    given = parser.parse_args()
    out = Path(given.out)
    found = json.loads(out.read_text()) if out.is_file() else {"machine": machine(), "rows": {}}
    sizes = {name: SIZES[name] for name in given.only.split(",")} if given.only else SIZES
    models: dict[str, Callable[[], Any]] = {name: functools.partial(random_model, *of) for name, of in sizes.items()}
    for one in given.real:
        name, folder = one.split("=", 1)
        models[name] = functools.partial(real_model, folder)
    for name, make in models.items():
        if name in found["rows"]:
            continue
        found["rows"][name] = compare(make())
        out.write_text(json.dumps(found, indent=1) + "\n")
        print(name, json.dumps(found["rows"][name]), flush=True)


if __name__ == "__main__":
    main()
