"""What the estimators of `estimators.py` have in common: from rows to a trained model, to a folder and back."""

import dataclasses
import json
import re
import signal
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import jax
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from stablefit.data.checks.text_findings import propose_length
from stablefit.data.checks.token_counts import token_lengths
from stablefit.data.encoding import load_tokenizer
from stablefit.data.tables.given import Texts
from stablefit.errors import InputError
from stablefit.fit import kept
from stablefit.models import hf, sources
from stablefit.paths import Tree
from stablefit.serve import model as serving
from stablefit.serve.card import Facts
from stablefit.serve.model import Model
from stablefit.training import bundle, host, job, loop, settings
from stablefit.training.files import write_whole
from stablefit.training.job import Job
from stablefit.training.progress import Progress
from stablefit.training.rundir import RunDirectory
from stablefit.training.signals import Interrupted

RECORD = "estimator.json"  # of a saved estimator: its arguments, and its classes as they were given
_LONGEST = 512  # tokens, where nothing else is asked for
# Config fields that do nothing where nothing is held out, a run is made in one go, and rows come from a program.
_NO_USE = (
    "patience", "stop_seeds_at", "keep_seeds", "checkpoint_minutes", "tensorboard", "eval_batch_size", "skip_bad",
    "tag_scheme", "id_column", "group_column", "join_texts", "label_separator",
)  # fmt: skip


class Estimator(BaseEstimator):
    """Arguments stay as they are given; they are looked at in `fit`."""

    _kinds: ClassVar[tuple[str, ...]] = ()
    # The arguments, which every subclass has.
    model: Any
    seeds: Any
    max_steps: Any
    max_length: Any
    learning_rate: Any
    keep: Any
    fields: Any
    random_state: Any
    verbose: Any
    # What is there after `fit`.
    model_: Model
    facts_: Facts
    _files: dict[str, bytes]  # of the bundle: the encoder's config and the tokenizer

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string, tags.input_tags.two_d_array, tags.input_tags.one_d_array = True, False, True
        tags.no_validation = True
        tags.target_tags.required = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def save(self, directory: str | Path) -> None:
        """Writes the fitted estimator into a folder, which `load`, `stablefit.load`, predict and export take.

        Args:
            directory: new, empty, or of an estimator saved before, which is replaced.

        Raises:
            InputError: the folder holds something else, or the labels are of a type that JSON has not.
        """
        check_is_fitted(self)
        folder = Path(directory).expanduser()
        if folder.exists() and not (folder / RECORD).is_file() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"{folder} is not empty and holds no saved estimator; give another folder")
        record = json.dumps(self._record(), indent=2, default=_as_json) + "\n"
        with tempfile.TemporaryDirectory(prefix="stablefit_") as place:
            for name, content in self._files.items():
                (Path(place) / name).write_bytes(content)
            trees = [jax.device_get(member) for member in self.model_.members]
            described = dataclasses.replace(self.model_.bundle, folder=Path(place))
            kept.write_model(folder / "model", described, trees, self.facts_.to_dict())
        write_whole(folder / RECORD, record)

    @classmethod
    def load(cls, directory: str | Path) -> Self:
        """The estimator that was saved into a folder, or one of the model of a fit, a run or an exported directory.

        Raises:
            InputError: there is none, or it is of another kind.
        """
        found = serving.load(directory)
        if found.bundle.kind not in cls._kinds:
            raise InputError(f"{directory} holds a model of kind {found.bundle.kind}, which is no {cls.__name__}")
        file = Path(directory).expanduser() / RECORD
        record = sources.read_json(file) if file.is_file() else {}
        if record and record.get("labels") != list(found.bundle.labels):
            raise InputError(f"{file} is not of the model beside it; save the estimator again")
        fitted = cls(**record.get("arguments", {}))
        fitted._take(found, Facts.from_dict(record.get("facts", {}), str(file)))
        fitted._restore(record)
        return fitted

    def _record(self) -> dict[str, Any]:
        """What is saved beside the model, for `_restore`."""
        arguments = self.get_params(deep=False)
        return {"arguments": arguments, "labels": self.model_.bundle.labels, "facts": self.facts_.to_dict()}

    def _restore(self, record: Mapping[str, Any]) -> None:
        """Sets what is there after `fit` beside the model."""

    def _take(self, found: Model, facts: Facts) -> None:
        """Takes a model whose folder may go."""
        files = [found.bundle.folder / name for name in ("config.json", *bundle.TOKENIZER_FILES)]
        self._files = {file.name: file.read_bytes() for file in files if file.is_file()}
        self.model_, self.facts_ = found, facts

    def _train(
        self,
        texts: Texts,
        rows: Sequence[Mapping[str, Any]],
        reads: Literal["data_file", "data_dir"],
        defaults: Mapping[str, Any],
        own: Mapping[str, Any],
        facts: Facts,
        **described: Any,
    ) -> None:
        """Trains on all rows and takes the model.

        The folder of compiled programs, and how memory is returned, are set for the process as the commands set them.

        Args:
            texts: of the rows.
            rows: what a line of a JSON-lines file says.
            reads: the field of the config that names the file, or its folder.
            defaults: the config, every field.
            own: fields that the rows ask for, which are not the caller's to set.
            facts: for the model card.
            **described: of the bundle.
        """
        host.prepare_unless_set()
        if self.keep not in ("ensemble", "average"):
            raise InputError(f"keep={self.keep!r} is not known; give 'ensemble' or 'average'")
        with tempfile.TemporaryDirectory(prefix="stablefit_") as place:
            file = Path(place) / "data" / "train.jsonl"
            file.parent.mkdir()
            file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
            own = {**own, reads: str(file if reads == "data_file" else file.parent)}
            config = settings.read(self._config(texts, defaults, own))
            try:
                loaded = job.load(config)
            except InputError as error:
                raise InputError(_of_rows(str(error), file)) from None
            trees = self._run(loaded, Path(place) / "run")
            if self.keep == "average":
                trees = [jax.tree.map(lambda *xs: np.mean(xs, axis=0, dtype=np.float32), *trees)]
            values = {**loaded.values, reads: ""}  # the file is gone after this
            about = dataclasses.replace(bundle.of_job(loaded), settings=values, **described)
            kept.write_model(Path(place) / "model", about, trees, facts.to_dict())
            self._take(serving.load(place), facts)

    def _config(self, texts: Texts, defaults: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
        """Every field of the config: the defaults, the arguments, and what the caller may not change."""
        first = 0 if self.random_state is None else _integer("random_state", self.random_state, 0)
        asked: dict[str, Any] = {
            "model": str(self.model),
            "seeds": tuple(range(first, first + _integer("seeds", self.seeds, 1))),
        }
        for name in ("max_steps", "max_length", "learning_rate"):
            if (value := getattr(self, name)) is not None:
                asked[name] = _plain(value)
        if asked.get("max_steps") == 0:
            raise InputError("max_steps=0: give the number of steps, or None for the default")
        if self.max_length is None:
            asked["max_length"] = _length(asked["model"], texts)
        own = {**own, "train_on_all": True, "folds": 0, "evaluations": 1, "keep": "best"}
        further = self._further(own)
        if "epochs" in further:  # counts only without steps
            asked["max_steps"] = 0
        return {**defaults, **asked, **further, **own}

    def _further(self, own: Mapping[str, Any]) -> dict[str, Any]:
        if not isinstance(self.fields, Mapping | None):
            raise InputError(f"fields is of type {type(self.fields).__name__}; give a mapping of config fields")
        further = {name: _plain(value) for name, value in (self.fields or {}).items()}
        arguments = self.get_params(deep=False)
        for name, value in further.items():
            if name in arguments and name != "keep":
                raise InputError(f"fields has {name}={value!r}; give it as the argument {name}")
            if name in own or name in _NO_USE:
                raise InputError(f"fields has {name}={value!r}, which is not for a fit to choose; leave it out")
        if "epochs" in further and self.max_steps is not None:
            raise InputError(f"max_steps={self.max_steps} and epochs={further['epochs']} exclude each other; give one")
        return further

    def _run(self, loaded: Job, place: Path) -> list[Tree]:
        """The parameters of every seed that did not diverge."""
        total = loop.planned_steps(loaded, [])
        try:
            with RunDirectory(place, loaded.settings) as directory, Progress(total, quiet=not self.verbose) as display:
                rows = loop.run(loaded, directory, display)
        except Interrupted as stop:
            if stop.signum == signal.SIGINT:
                raise KeyboardInterrupt from None
            raise SystemExit(128 + stop.signum) from None
        sound = [row["seed"] for row in rows if not row["diverged"]]
        if not sound:
            rate = loaded.values["learning_rate"]
            raise InputError(f"training diverged with learning_rate={rate:g}; give a lower one")
        if len(sound) < len(rows):
            lost = ", ".join(str(row["seed"]) for row in rows if row["diverged"])
            warnings.warn(f"training diverged with seed {lost}, which is left out", ConvergenceWarning, stacklevel=5)
        return kept.members(place, sound)


def _length(model: str, texts: Texts) -> int:
    """Most tokens of a text, chosen from the texts as `stablefit fit` does."""
    folder = sources.resolve(model)
    limit = min(hf.load_config(folder).longest, _LONGEST)
    return propose_length(token_lengths(load_tokenizer(folder), *texts), limit)


def _of_rows(message: str, file: Path) -> str:
    """A message with the rows' places for those in a file that the caller has not written."""
    numbered = re.sub(re.escape(str(file)) + r":(\d+)", lambda found: f"X[{int(found[1]) - 1}]", message)
    return numbered.replace(str(file), "the training data")


def _integer(name: str, value: Any, least: int) -> int:
    value = _plain(value)
    if type(value) is not int or value < least:
        raise InputError(f"{name} is {value!r}; it must be a whole number from {least} up")
    return value


def _plain(value: Any) -> Any:
    """A number of NumPy, as parameter grids have them, as Python's."""
    return value.item() if isinstance(value, np.generic) else value


def _as_json(value: Any) -> Any:
    """What JSON has no form of: NumPy's numbers, paths, mappings that are no dict."""
    return dict(value) if isinstance(value, Mapping) else value.item() if isinstance(value, np.generic) else str(value)
