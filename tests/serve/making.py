"""Models as `fit` leaves them, of random parameters: what is read, asked and exported in these tests."""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np

from stablefit.fit import kept
from stablefit.models import hf
from stablefit.training import checkpoints
from stablefit.training.bundle import Bundle

LABELS = {
    "classification": ("red", "green", "blue"),
    "multilabel": ("red", "green", "blue"),
    "regression": (),
    "tagging": ("O", "B-LOC", "I-LOC", "B-PER", "I-PER"),
}


def bundle(folder: Path, kind: str = "classification", **changes: Any) -> Bundle:
    """A bundle on the encoder in the folder."""
    values = {
        "folder": folder,
        "kind": kind,
        "task": "texts",
        "labels": LABELS[kind],
        "pooling": "mean",
        "max_length": 16,
        "text_columns": ("text",),
        "label_columns": ("label",),
        "id_column": "",
        "group_column": "",
        "join_texts": False,
        "pair": False,
        "thresholds": None,
        "unit": "word",
        "pieces": "word",
        "crf": kind == "tagging",
        "selection_metric": "accuracy",
        "report_metric": "accuracy",
        "model": {"source": "/somewhere/private/tiny-encoder", "revision": None},
        "settings": {"learning_rate": 1e-3, "data_file": "/somewhere/private/texts.csv"},
        "versions": {"stablefit": "0"},
    }
    return Bundle(**{**values, **changes})


def parameters(of: Bundle, seed: int) -> dict[str, Any]:
    """Random ones of a bundle's shapes, large enough for answers to differ."""
    config = hf.load_config(of.folder)
    encoder, _ = hf.load_encoder(of.folder, config)
    random = np.random.default_rng(seed)
    width, outputs = config.hidden_size, len(of.labels) or 1
    if of.kind == "tagging" and of.pieces == "text":
        outputs *= 2
    params: dict[str, Any] = {"encoder": encoder}
    kernel = 2 / np.float32(np.sqrt(width)) * _normal(random, (width, outputs))  # logits of the usual size
    params["head"] = {"kernel": kernel, "bias": _normal(random, (outputs,))}
    if of.kind == "tagging" or of.pooling != "pooler":
        encoder.pop("pooler")
    if of.kind == "tagging":
        n = len(of.labels)
        if of.crf:
            shapes = {"transitions": (n, n), "start": (n,), "end": (n,)}
            params["crf"] = {name: _normal(random, shape) for name, shape in shapes.items()}
    elif of.pooling == "mean":
        norm = {"scale": 1 + 0.3 * _normal(random, (width,)), "bias": 0.3 * _normal(random, (width,))}
        params["pooling"] = {"LayerNorm": norm}
    return params


def write_fit(folder: Path, of: Bundle, members: int = 1) -> Path:
    """A fit's folder with its model."""
    kept.write_model(folder / "model", of, [parameters(of, i) for i in range(members)], {})
    return folder


def write_old_fit(folder: Path, of: Bundle, members: int = 1) -> Path:
    """A fit's folder as it was before members were safetensors and the tokenizer was kept as it was built."""
    of.write(folder / "model" / "bundle")
    for i in range(members):
        checkpoints.save_params(folder / "model" / "members" / str(i), parameters(of, i))
    return folder


def write_run(folder: Path, of: Bundle, rows: list[dict[str, Any]]) -> Path:
    """A run's folder; a seed without a row has not finished."""
    of.write(folder / "bundle")
    (folder / "results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for i in range(3):
        checkpoints.save_params(folder / f"seed_{i}" / "best", parameters(of, i))
    return folder


def _normal(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return np.asarray(jax.device_get(random.normal(0, 1, shape)), np.float32)
