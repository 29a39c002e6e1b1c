"""The start from a finished run: an intermediate task."""

import functools
import json
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from stablefit.errors import InputError
from stablefit.models.config import EncoderConfig
from stablefit.objectives.objective import Objective
from stablefit.paths import Tree
from stablefit.training import checkpoints, manifest


class Start(NamedTuple):
    """Where the parameters come from."""

    record: dict[str, Any]  # for the rows
    said: str  # for the announcement


def load(folder: Path, pretrained: Tree, config: EncoderConfig, objective: Objective) -> tuple[Tree, Start]:
    """The best parameters of a finished seed: its encoder, and its head and CRF if it was trained for the same labels.

    Labels are the same if they have the same names in the same order, and the names say what they mean: the 0 and 1 of
    MRPC are not those of CoLA. The optimizer starts anew, and what mixout and decay hold on to are these weights.

    Args:
        folder: of the seed, such as runs/msra/seed_0.
        pretrained: {"encoder": ...} of the config's model, whose shapes the run's must have.
        config: the encoder's sizes.
        objective: what is to be trained for.

    Raises:
        InputError: no such run, or it was trained from another encoder.
    """
    saved = checkpoints.load_params(folder / "best")
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(saved)):
        raise InputError(f"init_from {folder} holds NaN or infinite values: its run has diverged; give another seed")
    ours, theirs = (dict(tree["encoder"]) for tree in (pretrained, saved))
    pooler = theirs.pop("pooler", None) or ours.get("pooler")
    ours.pop("pooler", None)
    if jax.tree.map(np.shape, ours) != jax.tree.map(np.shape, theirs):
        raise InputError(f"init_from {folder} was trained from another encoder; config field model must be that one")
    params = {"encoder": theirs if pooler is None else {**theirs, "pooler": pooler}}
    labels, record = _labels(folder), _identity(folder)
    numbers = all(map(str.isdecimal, objective.labels)) and record.get("task") != objective.task.name
    same = labels == objective.labels and not numbers
    fresh = jax.eval_shape(functools.partial(objective.start, config=config), jax.random.key(0), pretrained=pretrained)
    heads = [name for name in ("head", "crf") if name in fresh]
    for name in heads if same else ():
        if jax.tree.map(np.shape, saved.get(name)) == jax.tree.map(np.shape, fresh[name]):
            params[name] = saved[name]
    new = [name for name in heads if name not in params]
    why = "it has none of this shape" if same else "its labels are others"
    why = "it left no record of its labels" if labels is None else why
    said = f"{', '.join(params)} of {folder}" + (f"; {', '.join(new)} new: {why}" if new else "")
    return params, Start({"folder": str(folder), "kept": list(params), **record}, said)


def _labels(folder: Path) -> tuple[str, ...] | None:
    """The labels that the run was trained for; None if it left no record of them."""
    file = folder / "predictions.npz"
    manifest.check(file, "give another seed")
    try:
        with np.load(file, allow_pickle=False) as stored:
            return tuple(map(str, stored["labels"]))
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        return None


def _identity(folder: Path) -> dict[str, Any]:
    """What the run's row says of it: task, model and fingerprint."""
    try:
        lines = (folder.parent / "results.jsonl").read_text().splitlines()
        rows = [row for row in map(json.loads, lines) if f"seed_{row['seed']}" == folder.name]
        return {name: rows[-1][name] for name in ("task", "model", "fingerprint")}
    except (OSError, ValueError, LookupError, TypeError):
        return {}
