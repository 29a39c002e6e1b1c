"""A tag for each word, and entities from the tags."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stablefit import methods
from stablefit.data import encoding
from stablefit.data.tags import tagging, tagging_splits
from stablefit.data.tags.tagging_encoding import EncodedTags, n_unparted
from stablefit.data.tasks import Task
from stablefit.models import crf, heads
from stablefit.models.config import EncoderConfig
from stablefit.models.families import family_of
from stablefit.objectives import entity_metrics, entity_notes
from stablefit.objectives.objective import Scores
from stablefit.paths import Key, Tree


@dataclasses.dataclass(frozen=True)
class Tagging:
    """A tag for each word, and entities from the tags."""

    task: Task
    encoded: Mapping[str, EncodedTags]  # 'train', and 'test' and 'dev' if there are such files
    types: tuple[str, ...]
    train_examples: int
    folds: int
    crf: bool
    shared: bool  # several words may be read at one piece
    unread: tuple[str, ...]  # files of the folder that cross-validation leaves aside
    seen: int = 0  # with no documents for validation, so many training documents are scored in their place
    read: str = ""  # what is read of the training file, in words
    subset_seeds: Sequence[int] = (0,)  # of each training subset; without folds one part of the data for each
    said: tuple[tuple[str, str], ...] = ()  # further lines of the announcement

    @property
    def labels(self) -> tuple[str, ...]:
        """What the outputs stand for."""
        return tagging.tag_names(self.types, "iob2")

    def __str__(self) -> str:
        return f"{len(self.types)} types of entities, {'with' if self.crf else 'without'} a CRF"

    @property
    def chosen(self) -> list[dict[str, np.ndarray]]:
        """Which documents of `encoded['train']` are in which split, for each fold or training subset."""
        n, has_test = len(self.encoded["train"]), "test" in self.encoded
        if self.seen and not self.folds:
            return [
                tagging_splits.everything(n, self.train_examples, self.seen, has_test, seed)
                for seed in self.subset_seeds
            ]
        unit = tagging_splits.units(self.encoded["train"].documents.groups, self.folds)
        more = self.task.validation_tail, "dev" in self.encoded, self.seen
        return [
            tagging_splits.choose(unit, self.train_examples, self.folds, fold, *more, seed)
            for fold in range(self.folds or 1)
            for seed in self.subset_seeds
        ]

    def data(self, fold: int) -> dict[str, EncodedTags]:
        """Training, validation and test set; those of one fold or training subset."""
        pool = self.encoded["train"]
        parts = {name: pool.subset(indices) for name, indices in self.chosen[fold].items()}
        return {
            "train": parts["train"],
            "validation": parts.get("validation") or self.encoded["dev"],
            "test": parts.get("test") or self.encoded["test"],
        }

    def notes(self, data: Mapping[str, encoding.Encoded]) -> list[tuple[str, str]]:
        """What the entities are, and which of them cannot be learnt or scored."""
        tagged = {name: part for name, part in data.items() if isinstance(part, EncodedTags)}
        said = [*self.said, *([("found", self.read)] if self.read else [])]
        said += [("types", ", ".join(self.types)), ("entities", entity_notes.counted(tagged))]
        if missed := entity_notes.missed(tagged):
            said.append(("missed", missed))
        unread = f"; {' and '.join(self.unread)} not read" if self.unread else ""
        if self.seen and not self.folds:
            said.append(("held out", f"nothing: the scores are of documents that this run was trained on{unread}"))
        if self.folds:
            said.append(("folds", f"{self.folds}: seed s is tested on fold s mod {self.folds}{unread}"))
        if self.folds and self.seen:
            said.append(("steps", "none is chosen: validation is of documents that are trained on; the last counts"))
        cuts_train = self.folds or not (self.seen or "dev" in self.encoded or self.task.validation_tail)
        if cuts_train and (whole := entity_notes.whole_documents(self.encoded["train"].documents, self.folds)):
            said.append(("whole", whole))
        if missing := entity_notes.missing([self.data(part) for part in range(len(self.chosen))]):
            said.append(("missing", missing))
        if n := n_unparted(tagged.values()) if self.shared else 0:
            parts = "only the CRF's transitions can part them" if self.crf else "without a CRF they cannot be parted"
            said.append(("alike", f"the edges of {n} entities are between characters of the same emissions: {parts}"))
        return said

    def fitted(self, train: encoding.Encoded) -> "Tagging":
        return self

    def model(self, config: EncoderConfig, dropout: float, dtype: Any) -> heads.TokenClassifier:
        """The network; the CRF's scores are parameters beside it."""
        return heads.TokenClassifier(config, len(self.labels), dropout, dtype, self.shared)

    def start(self, key: Key, config: EncoderConfig, pretrained: Tree) -> Tree:
        """The parameters: those that are given, and new ones for what is not; a pooler is of use in few families."""
        n = len(self.labels)
        encoder = {name: value for name, value in pretrained["encoder"].items() if name != "pooler"}
        if family_of(config).encoder.tags_pooled:
            encoder["pooler"] = pretrained["encoder"].get("pooler") or heads.init_pooler(key, config)
        outputs = n * (2 if self.shared else 1)
        head = pretrained.get("head") or heads.init_head(key, config.hidden_size, outputs, config.initializer_range)
        scores = {"crf": pretrained.get("crf") or crf.init(key, n)} if self.crf else {}
        return {"encoder": encoder, "head": head, **scores}

    def targets(self, data: encoding.Encoded) -> np.ndarray:
        return data.labels

    def weights(self, train: encoding.Encoded) -> np.ndarray | None:
        return None

    def losses(self, params: Tree, outputs: jax.Array, targets: jax.Array) -> jax.Array:
        return heads.tag_losses(params, outputs, targets)

    def divergences(self, outputs: jax.Array, others: jax.Array, targets: jax.Array) -> jax.Array:
        """Of the emissions of each word, summed over the words that count, as the losses are."""
        return jnp.where(targets >= 0, methods.symmetric_kl(outputs, others), 0.0).sum(1)

    def score(self, params: Tree, outputs: np.ndarray, data: encoding.Encoded) -> tuple[Scores, np.ndarray]:
        """The loss, the entities' scores, and the tags of all words, document after document.

        The words' emissions are put together from the windows that own them, and each document has one best path, kept
        to what IOB2 allows. Without a CRF it is the best path of a CRF whose scores are 0. Entities that begin or end
        within a word lower the recall.

        Args:
            params: of the run, without the encoder's.
            outputs: [N, W, K].
            data: the split.
        """
        assert isinstance(data, EncodedTags)
        emissions_DxLxK, gold = data.joined(outputs), data.documents.entities
        lost = data.documents.n_unrepresented
        if not np.isfinite(emissions_DxLxK).all():
            nothing = entity_metrics.score_spans(gold, [[] for _ in gold], unrepresented=lost)
            tags = np.zeros(int(data.is_word.sum()), np.int32)
            return {"loss": math.inf, **nothing.as_row(), "diverged": 1.0}, tags
        scores = params.get("crf") or crf.init(jax.random.key(0), len(self.labels))
        allowed = tagging.allowed_transitions(self.labels, "iob2")
        tags_DxL, log_p_D = jax.device_get(_decode(scores, emissions_DxLxK, data.tags, data.is_word, allowed))
        names = [[self.labels[tag] for tag in row[here]] for row, here in zip(tags_DxL, data.is_word, strict=True)]
        spans = [tagging.strict_spans(one, "iob2") for one in names]
        found = entity_metrics.score_spans(gold, spans, unrepresented=lost)
        loss = float(-log_p_D.mean())
        return {"loss": loss, **found.as_row(), "diverged": 0.0}, tags_DxL[data.is_word]

    def beside(self, params: Tree, outputs: np.ndarray, data: encoding.Encoded) -> dict[str, np.ndarray]:
        """The emissions of all words and the CRF's scores, from which entities have their probabilities.

        Nothing is chosen on the documents of such runs, so there are no others to keep them of.
        """
        if not self.seen:
            return {}
        assert isinstance(data, EncodedTags)
        scores = params.get("crf") or crf.init(jax.random.key(0), len(self.labels))
        emissions = data.joined(outputs)[data.is_word].astype(np.float32)
        documents = np.array(data.documents.ids, np.str_)
        return {"documents": documents, "emissions": emissions, **{name: np.asarray(x) for name, x in scores.items()}}

    def majority(self, data: encoding.Encoded) -> float:
        """0: the most frequent tag is O, which makes no entity."""
        return 0.0

    def whole(self, params: Tree) -> Tree:
        return params


@jax.jit
def _decode(scores: Tree, emissions_DxLxK: Any, tags_DxL: Any, mask_DxL: Any, allowed: Tree):
    """The best tags of each document, and the log-likelihood of the given ones."""
    best_DxL, _ = crf.viterbi(scores, emissions_DxLxK, mask_DxL, allowed)
    return best_DxL, crf.log_likelihood(scores, emissions_DxLxK, tags_DxL, mask_DxL)
