"""The files of a fit: what its runs said, the model to keep, the rows' answers."""

import csv
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stablefit.data import built_tokenizer
from stablefit.data.encoding import load_tokenizer
from stablefit.errors import InputError
from stablefit.fit.evidence import Evidence, OutOfFold
from stablefit.models import hf
from stablefit.paths import Tree
from stablefit.training import checkpoints, manifest
from stablefit.training.bundle import FOLDER, Bundle
from stablefit.training.files import is_free, write_whole
from stablefit.training.job import Job

INPUT = "input"  # what came by standard input


def check_free(out: Path) -> None:
    """Refuses a folder that holds something.

    Raises:
        InputError: it does, or it is a file.
    """
    if not is_free(out):
        raise InputError(f"--out={out} is not empty and holds no fit; give another folder")


def write_bytes(file: Path, content: bytes) -> None:
    """Writes a file that is there whole or not at all."""
    temporary = file.with_name(f".{file.name}.tmp")
    temporary.write_bytes(content)
    temporary.replace(file)


def predictions(workdir: Path, job: Job, step: str) -> dict[int, dict[str, np.ndarray]]:
    """Of each finished seed the ids of the rows that it was tested on, and its outputs.

    Args:
        workdir: of the study.
        job: the cell's.
        step: `best` or `last`: whose outputs.
    """
    found = {}
    for seed in job.settings.seeds:
        file = workdir / "cells" / job.settings.fingerprint / f"seed_{seed}" / "predictions.npz"
        if file.is_file():
            manifest.check(file, "remove the folder of the seed and its row, and fit again")
            with np.load(file, allow_pickle=False) as stored:
                found[seed] = {"ids": stored["test_ids"], "outputs": stored[f"test_{step}"]}
    return found


def members(cell: Path, seeds: Sequence[int]) -> list[Tree]:
    """The parameters of a cell's seeds.

    Raises:
        InputError: a seed kept none, for it diverged before its first score, or they are damaged.
    """
    if lost := [str(seed) for seed in seeds if not (cell / f"seed_{seed}" / "best").is_dir()]:
        raise InputError(f"{cell}: seed {', '.join(lost)} kept no parameters: it diverged; give a lower learning_rate")
    return [checkpoints.load_params(cell / f"seed_{seed}" / "best") for seed in seeds]


def write_model(folder: Path, bundle: Bundle, trees: Sequence[Tree], facts: Mapping[str, Any]) -> None:
    """Writes the model as one thing: a reader finds the old one or the new one."""
    fresh = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    written = bundle.write(fresh / FOLDER)
    built_tokenizer.write(written.folder, load_tokenizer(written.folder))
    for i, tree in enumerate(trees):
        hf.save_tree(fresh / "members" / f"{i}.safetensors", tree)
    write_whole(fresh / "facts.json", json.dumps(facts, indent=2) + "\n")
    manifest.write(fresh, part="model")
    shutil.rmtree(folder, ignore_errors=True)
    fresh.replace(folder)


def write_out_of_fold(file: Path, oof: OutOfFold, evidence: Evidence) -> None:
    """One line a row: its label, and what models that never saw it say together and each.

    Column `doubt` numbers the rows whose label is in doubt, the likeliest wrong first.
    """
    finite = np.isfinite(oof.outputs.reshape(len(oof.outputs), -1)).all(1)
    outputs = oof.outputs[finite]
    whole = outputs.mean(0)
    place = {row: number for number, row in enumerate(evidence.doubted, start=1)}
    doubt = [place.get(i, "") for i in range(len(oof.ids))]
    temporary = file.with_name(f".{file.name}.tmp")
    with temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        if oof.kind == "regression":
            writer.writerow(
                ["id", "given", "prediction", "doubt", "spread", *(f"seed_{r}" for r in range(len(outputs)))]
            )
            for i, name in enumerate(oof.ids):
                numbers = [whole[i], doubt[i], outputs[:, i].std(ddof=1) if len(outputs) > 1 else "", *outputs[:, i]]
                writer.writerow([name, oof.targets[i], *numbers])
        else:
            columns = [f"p_{label}" for label in oof.labels]
            writer.writerow(["id", "given", "label", "doubt", "agreement", *columns])
            said = _said(oof, outputs, evidence)
            answer = _said(oof, whole[None], evidence)[0]
            given = _said(oof, _sure(oof)[None], evidence)[0]
            for i, name in enumerate(oof.ids):
                agree = float(np.mean([one[i] == answer[i] for one in said]))
                writer.writerow([name, given[i], answer[i], doubt[i], f"{agree:.2f}", *(f"{p:.4f}" for p in whole[i])])
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(file)


def _sure(oof: OutOfFold) -> np.ndarray:
    """The labels as probabilities of 0 and 1."""
    return np.eye(len(oof.labels))[oof.targets] if oof.kind == "classification" else np.asarray(oof.targets, float)


def _said(oof: OutOfFold, outputs: np.ndarray, evidence: Evidence) -> list[list[str]]:
    """The labels that each repeat gives to each row; several with a semicolon between."""
    if oof.kind == "classification":
        return [[oof.labels[c] for c in one.argmax(-1)] for one in outputs]
    limits = np.asarray(evidence.thresholds or [0.5] * len(oof.labels))
    marks = outputs >= limits
    return [[";".join(np.array(oof.labels)[row].tolist()) for row in one] for one in marks]
