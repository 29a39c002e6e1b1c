"""What costs nothing: the most frequent answer, a bag of words, and the encoder as it is with a linear head.

Each is trained on the rows that a fold does not hold out, as the fine-tuned models are, and predicts the others.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse

from stablefit.data.readers import Examples
from stablefit.data.tasks import Task
from stablefit.objectives import classification, multilabel
from stablefit.training import probe

MAJORITY = {"classification": "majority", "regression": "mean", "multilabel": "majority"}
BAG_OF_WORDS, FROZEN = "tfidf", "frozen"


def predictions(
    task: Task, examples: Examples, features_NxD: np.ndarray, held_out: Sequence[np.ndarray]
) -> dict[str, np.ndarray]:
    """Name of each baseline -> its answers for all rows: probabilities [N, C], or numbers [N].

    Args:
        task: what the labels are.
        examples: N rows.
        features_NxD: of the frozen encoder.
        held_out: the rows of each fold; together every row once.
    """
    targets, n = examples.labels, task.n_outputs
    answers = {name: np.zeros((len(targets), n)) for name in (MAJORITY[task.kind], BAG_OF_WORDS, FROZEN)}
    every = np.arange(len(targets))
    for rows in held_out:
        rest = np.setdiff1d(every, rows)
        answers[MAJORITY[task.kind]][rows] = _constant(task, targets[rest])
        bags = _bags(examples, rest, rows)
        for name, (known, new) in {BAG_OF_WORDS: bags, FROZEN: (features_NxD[rest], features_NxD[rows])}.items():
            answers[name][rows] = _linear(task, known, targets[rest], new)
    return {name: one[:, 0] if task.kind == "regression" else one for name, one in answers.items()}


def _constant(task: Task, targets: np.ndarray) -> np.ndarray:
    """The shares of the classes or labels, which the majority's answer follows from; of numbers the mean."""
    if task.kind == "classification":
        return np.bincount(targets, minlength=task.n_outputs) / len(targets)
    return targets.mean(0, keepdims=task.kind == "regression")


def _linear(task: Task, known: Any, targets: np.ndarray, new: Any) -> np.ndarray:
    """Answers of logistic or ridge regression, its penalty chosen within the rows it is trained on."""
    centre = float(targets.mean()) if task.kind == "regression" else 0.0
    scale = (float(targets.std()) if task.kind == "regression" else 1.0) or 1.0
    own = (targets - centre) / scale if task.kind == "regression" else targets
    head = probe.linear_head(known, own, task.kind, task.n_outputs)
    outputs = new @ head["kernel"] + head["bias"]
    if task.kind == "regression":
        return outputs * scale + centre
    return (classification if task.kind == "classification" else multilabel).probabilities(outputs)


def _bags(examples: Examples, rest: np.ndarray, rows: np.ndarray) -> tuple[Any, Any]:
    """TF-IDF of words and pairs of words; of pairs of texts each text's own."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    known: list[Any] = []
    new: list[Any] = []
    for texts in (examples.texts_a, examples.texts_b):
        if texts is None:
            continue
        one = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, token_pattern=r"(?u)\b\w+\b")
        try:
            known.append(one.fit_transform([texts[i] for i in rest]))
            new.append(one.transform([texts[i] for i in rows]))
        except ValueError:  # no word is there twice
            known.append(sparse.csr_matrix((len(rest), 1)))
            new.append(sparse.csr_matrix((len(rows), 1)))
    return sparse.hstack(known, "csr"), sparse.hstack(new, "csr")
