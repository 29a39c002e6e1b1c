"""What costs nothing to find entities: none at all, a dictionary, and the encoder as it is with logistic regression.

Each is made of the documents that a fold does not hold out, as the fine-tuned models are, and finds entities in the
others.
"""

import functools
import itertools
import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stablefit.data.tags import tagging
from stablefit.data.tags.dictionary import Dictionary
from stablefit.data.tags.ner import TaggedExamples
from stablefit.data.tags.tagging import Span
from stablefit.data.tags.tagging_encoding import EncodedTags
from stablefit.data.tags.windows import join_windows
from stablefit.models import crf, heads
from stablefit.models.families import family_of
from stablefit.serve import entities
from stablefit.training.job import Job

NOTHING, DICTIONARY, FROZEN = "nothing", "dictionary", "frozen"
_OFTEN = 0.5  # share of a string's places in the training documents that must be entities
_MOST_WORDS = 20_000  # that the regression is fitted to; more cost minutes and change little
_STRENGTHS = (10.0, 100.0)  # C of scikit-learn, on features whose mean squared length is 1
_HELD_OUT = 5  # one training document in so many chooses the strength
_NEVER = -30.0  # log-probability of a tag that no training word has
_ROWS = 16  # windows at a time

Spans = list[list[Span]]


def found(job: Job, documents: TaggedExamples, held_out: Sequence[np.ndarray]) -> dict[str, Spans]:
    """Name of each baseline -> the entities it finds in each document.

    Args:
        job: whose encoder is asked, and whose data the documents are.
        documents: N.
        held_out: the documents of each fold; together every one once.
    """
    answers: dict[str, Spans] = {name: [[] for _ in range(len(documents))] for name in (NOTHING, DICTIONARY, FROZEN)}
    vectors = word_vectors(job)
    tags = [_tags(documents, d, job.objective.labels) for d in range(len(documents))]
    for part in held_out:
        rest = np.setdiff1d(np.arange(len(documents)), part).tolist()
        known = dictionary(documents, rest)
        spans = linear(vectors, tags, rest, part.tolist(), job.objective.labels)
        for d, own in zip(part.tolist(), spans, strict=True):
            answers[DICTIONARY][d] = known.find(documents.words[d])
            answers[FROZEN][d] = own
    return answers


def dictionary(documents: TaggedExamples, rows: Sequence[int]) -> Dictionary:
    """What entities of these documents are written as, without strings that mostly stand outside of entities."""
    written: list[tuple[tuple[str, ...], str]] = []
    for d in rows:
        written += [(tuple(documents.words[d][s.start : s.end]), s.type) for s in documents.entities[d]]
    every = Dictionary(written)
    right: Counter[tuple[str, ...]] = Counter()
    all_: Counter[tuple[str, ...]] = Counter()
    for d in rows:
        own = {span[:2] for span in documents.entities[d]}
        for span in every.find(documents.words[d]):
            words = tuple(documents.words[d][span.start : span.end])
            all_[words] += 1
            right[words] += span[:2] in own
    return Dictionary((words, type_) for words, type_ in written if right[words] >= _OFTEN * all_[words])


def linear(
    vectors: Sequence[np.ndarray],
    tags: Sequence[np.ndarray],
    rest: Sequence[int],
    part: Sequence[int],
    labels: Sequence[str],
) -> Spans:
    """The entities that logistic regression on each word's vector finds in the documents `part`.

    The best tags are those that IOB2 allows; the penalty is chosen on a fifth of the documents it is fitted to.

    Args:
        vectors: [L, D] of each document.
        tags: [L] of each document, ids.
        rest: documents it is fitted to.
    """
    order = np.random.default_rng(0).permutation(rest)
    sizes = np.cumsum([len(tags[d]) for d in order])
    order = order[: max(2, int(np.searchsorted(sizes, _MOST_WORDS, "right")))].tolist()
    judged, fitted = order[::_HELD_OUT], [d for i, d in enumerate(order) if i % _HELD_OUT]
    scale = float(np.sqrt(np.mean([np.square(vectors[d].astype(np.float64)).sum(1).mean() for d in order]))) or 1.0

    def fit(some: Sequence[int], strength: float) -> tuple[np.ndarray, np.ndarray]:
        x = np.concatenate([vectors[d] for d in some]).astype(np.float64) / scale
        return _regression(x, np.concatenate([tags[d] for d in some]), len(labels), strength)

    def loss(kernel: np.ndarray, bias: np.ndarray) -> float:
        log_p = [_log_softmax(vectors[d] / scale @ kernel + bias) for d in judged]
        return -float(sum(one[np.arange(len(one)), tags[d]].sum() for d, one in zip(judged, log_p, strict=True)))

    strength = min(_STRENGTHS, key=lambda c: loss(*fit(fitted, c)))
    kernel, bias = fit(order, strength)
    emissions = [_log_softmax(vectors[d] / scale @ kernel + bias).astype(np.float32) for d in part]
    none = jax.device_get(crf.init(jax.random.key(0), len(labels)))
    return entities.alone(none, emissions, labels)


def _regression(x: np.ndarray, tags: np.ndarray, n: int, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """Kernel [D, n] and bias [n]; a tag that no word has is all but barred."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    kernel, bias = np.zeros((x.shape[1], n)), np.full(n, _NEVER)
    there = np.unique(tags)
    bias[there] = 0.0
    if len(there) > 1:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # near enough
            model = LogisticRegression(C=strength, max_iter=200, tol=1e-3).fit(x, tags)
        if len(there) == 2:
            kernel[:, there[1]], bias[there[1]] = model.coef_[0], model.intercept_[0]
        else:
            kernel[:, there], bias[there] = model.coef_.T, model.intercept_
    return kernel, bias


def _log_softmax(outputs: np.ndarray) -> np.ndarray:
    shifted = outputs - outputs.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


def _tags(documents: TaggedExamples, d: int, labels: Sequence[str]) -> np.ndarray:
    ids = {label: i for i, label in enumerate(labels)}
    names = tagging.spans_to_tags(documents.entities[d], len(documents.words[d]), "iob2")
    return np.array([ids[name] for name in names], np.int64)


def word_vectors(job: Job) -> list[np.ndarray]:
    """What the frozen encoder makes of each word, float32 [L, D] of each document that a job trains on.

    Words that are read at one piece have the same vector.
    """
    pool, width = job.pool, job.encoder.hidden_size
    assert isinstance(pool, EncodedTags)
    pooled = family_of(job.encoder).encoder.tags_pooled
    encoder = {name: value for name, value in job.pretrained["encoder"].items() if pooled or name != "pooler"}
    # A head that changes nothing: its outputs are the hidden states.
    params = {"encoder": encoder, "head": {"kernel": np.eye(width, dtype=np.float32), "bias": np.zeros(width)}}
    model = heads.TokenClassifier(job.encoder, width)
    values: list[np.ndarray] = [np.zeros(0)] * len(pool)
    order = np.argsort(pool.lengths, kind="stable")
    for start in range(0, len(order), _ROWS):
        rows = order[start : start + _ROWS]
        few = np.resize(rows, _ROWS)  # the last ones are asked again, so that one program serves all of a width
        n_words = [pool.windows[i].end - pool.windows[i].start for i in rows]
        t, w = _rounded(int(pool.lengths[rows].max())), _rounded(max(n_words))
        inputs = (*(_cut(x[few], t) for x in (pool.tokens, pool.types, pool.segments)), _cut(pool.words[few], w))
        outputs = np.asarray(_hidden(model, params, *inputs))
        for i, n, one in zip(rows, n_words, outputs, strict=False):
            values[i] = one[:n]
    bounds = np.searchsorted(pool.document, np.arange(len(pool.documents) + 1))
    return [join_windows(pool.windows[first:last], values[first:last]) for first, last in itertools.pairwise(bounds)]


@functools.partial(jax.jit, static_argnums=0)
def _hidden(model: heads.TokenClassifier, params: Any, tokens: Any, types: Any, segments: Any, words: Any) -> jax.Array:
    rows, zeros = jnp.arange(len(tokens)), jnp.zeros(len(tokens), jnp.int32)
    last = model.config.longest - 1  # of padding, which nobody reads
    positions = jnp.minimum(jnp.arange(tokens.shape[1], dtype=jnp.int32), last)
    positions = jnp.broadcast_to(positions[None], tokens.shape)
    inputs = tokens, types, segments, positions, rows, zeros, words
    outputs = model.apply({"params": params}, *inputs, deterministic=True)
    assert isinstance(outputs, jax.Array)
    return outputs


def _rounded(n: int) -> int:
    return max(32, 1 << (n - 1).bit_length())


def _cut(x: np.ndarray, width: int) -> np.ndarray:
    """The first columns, or zeros behind them."""
    return x[:, :width] if x.shape[1] >= width else np.pad(x, ((0, 0), (0, width - x.shape[1])))
