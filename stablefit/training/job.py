"""What the members of a run share: data, network, pre-trained weights, length. Loaded once, checked before any step."""

import dataclasses
import functools
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stablefit import methods
from stablefit.data import batches, encoding, splits, tasks
from stablefit.errors import InputError
from stablefit.models import heads, hf, sources
from stablefit.models.encoder import EncoderConfig
from stablefit.paths import Key, Tree
from stablefit.training import checkpoints
from stablefit.training.cohort import Cohort, default_size, make_mesh
from stablefit.training.optimizer import make_optimizer, reinit_arguments
from stablefit.training.settings import Hypers, Settings, Spec


@dataclasses.dataclass(frozen=True, eq=False)
class Job:
    """A run that is ready to start."""

    settings: Settings
    task: tasks.Task
    source: str  # where the weights came from, as a person would want to know it
    encoder: EncoderConfig
    pretrained: Tree  # {"encoder": ...}, and {"head": ...} if an intermediate task's head is kept
    data: Mapping[str, encoding.Encoded]  # "train", "validation", "test"
    n_skipped: int  # broken rows of the files, which are left out

    @property
    def spec(self) -> Spec:
        return self.settings.spec

    @property
    def hypers(self) -> Hypers:
        return self.settings.hypers

    @property
    def values(self) -> dict[str, Any]:
        return self.settings.values

    def n(self, split: str) -> int:
        """Number of examples."""
        return len(self.data[split])

    @property
    def total_steps(self) -> int:
        """T: max_steps, or the epochs' steps with the last, smaller batches counted."""
        return self.spec.max_steps or batches.total_steps(self.n("train"), self.spec.batch_size, self.spec.epochs)

    @property
    def evaluation_steps(self) -> tuple[int, ...]:
        return batches.evaluation_steps(self.total_steps, self.spec.evaluations)

    @functools.cached_property
    def model(self) -> heads.SequenceClassifier:
        return heads.SequenceClassifier(
            self.encoder, self.task.n_outputs, self.spec.dropout, jnp.dtype(self.spec.compute_dtype)
        )

    def make_params(self, key: Key, pretrained: Tree) -> Tree:
        """The parameters that one member starts from: pre-trained, with a new head and what is re-initialised."""
        std = self.encoder.initializer_range
        encoder = dict(pretrained["encoder"])
        if "pooler" not in encoder:
            encoder["pooler"] = heads.init_pooler(key, self.encoder.hidden_size, std)
        head = pretrained.get("head") or heads.init_head(key, self.encoder.hidden_size, self.task.n_outputs, std)
        return methods.reinit(key, {"encoder": encoder, "head": head}, std=std, **reinit_arguments(self.spec))

    @functools.cached_property
    def shapes(self) -> Tree:
        """The shapes of one member's parameters; to ask for them checks every pattern and index against the model."""
        return jax.eval_shape(self.make_params, jax.random.key(0), self.pretrained)

    def cohort(self, members: int) -> Cohort:
        """The programs of so many members, compiled already if this was the job that last asked for them."""
        return _cohort(self, members)

    def cohort_size(self, seeds: int) -> int:
        """How many seeds go into one program."""
        weights = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(self.shapes))
        tokens = self.spec.batch_size * self.data["train"].tokens.shape[1]
        activations = 40 * tokens * self.encoder.hidden_size * self.encoder.num_hidden_layers * 4
        return min(seeds, self.values["cohort_size"]) or default_size(seeds, 6 * weights + activations)

    @property
    def provenance(self) -> dict[str, Any]:
        """What a row says of how it was made."""
        device = jax.devices()[0]
        return {
            "model": self.source,
            "task": self.task.name,
            "device": f"{jax.device_count()} x {device.device_kind}",
            "versions": {name: version(name) for name in ("stablefit", "jax", "flax", "optax")},
        }


def load(settings: Settings) -> Job:
    """Reads model, tokenizer and data, and checks that the settings fit them.

    Raises:
        InputError: something is missing, broken, or does not fit together.
    """
    spec = settings.spec
    task = tasks.get_task(spec.task)
    # The cheap checks come first: a wrong folder should not cost the loading of a model.
    n_skipped = _examples(task, spec.data_dir, spec.train_examples).n_skipped
    directory = sources.resolve(spec.model)
    config = hf.load_config(directory)
    if spec.max_length > config.max_position_embeddings:
        raise InputError(
            f"config field max_length is {spec.max_length}; {spec.model} has {config.max_position_embeddings} positions"
        )
    encoded = _encoded(task, spec.data_dir, spec.train_examples, directory, config.vocab_size, spec.max_length)
    weights, report = _weights(directory, config)
    pretrained = {"encoder": weights}
    source = spec.model + ("" if report.has_pooler else " (without a pooler: it starts anew)")
    if spec.init_from:
        pretrained = _intermediate(Path(spec.init_from), pretrained, task.n_outputs)
        source += f", trained further in {spec.init_from}"
    job = Job(settings, task, source, config, pretrained, encoded, n_skipped)
    jax.eval_shape(make_optimizer(spec, settings.hypers, job.shapes, job.total_steps).init, job.shapes)
    return job


@functools.lru_cache(maxsize=2)
def _cohort(job: Job, members: int) -> Cohort:
    mesh = make_mesh(members, job.spec.batch_size)
    return Cohort(job.spec, job.hypers, job.model, job.make_params, job.total_steps, mesh, members)


# A study asks for the same texts, tokens and weights once a cell; nobody changes them.


@functools.lru_cache(maxsize=2)
def _examples(task: tasks.Task, data_dir: str, train_examples: int) -> splits.Splits:
    return splits.load_splits(task, data_dir, train_examples=train_examples)


@functools.lru_cache(maxsize=2)
def _encoded(
    task: tasks.Task, data_dir: str, train_examples: int, directory: Path, vocab_size: int, max_length: int
) -> dict[str, encoding.Encoded]:
    examples = _examples(task, data_dir, train_examples)
    tokenizer = encoding.load_tokenizer(directory, vocab_size)
    parts = {"train": examples.train, "validation": examples.validation, "test": examples.test}
    return {name: encoding.encode(part, tokenizer, max_length) for name, part in parts.items()}


@functools.lru_cache(maxsize=2)
def _weights(directory: Path, config: EncoderConfig) -> tuple[Tree, hf.LoadReport]:
    return hf.load_encoder(directory, config)


def _intermediate(folder: Path, pretrained: Tree, n_outputs: int) -> Tree:
    """The weights of a finished run: its encoder, and its head if it has as many outputs; everything else starts fresh.

    The optimizer starts anew, and what mixout and decay hold on to are these weights.
    """
    saved = checkpoints.load_params(folder / "best")
    ours = jax.tree.map(np.shape, pretrained["encoder"])
    theirs = jax.tree.map(np.shape, {name: saved["encoder"][name] for name in ours if name in saved["encoder"]})
    if ours != theirs:
        raise InputError(f"init_from {folder} was trained from another encoder; config field model must be that one")
    kept = {"head": saved["head"]} if saved["head"]["bias"].shape == (n_outputs,) else {}
    return {"encoder": saved["encoder"], **kept}
