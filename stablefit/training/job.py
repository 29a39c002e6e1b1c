"""What the members of a run share: data, pre-trained weights, length. Loaded once, checked before any step."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np

from stablefit.data import batches, encoding, tasks
from stablefit.data.digest import Digest
from stablefit.errors import InputError
from stablefit.fields import Hypers, Spec
from stablefit.models import hf, sources, vocabulary
from stablefit.models.config import EncoderConfig
from stablefit.models.families import family_of
from stablefit.objectives.objective import Objective
from stablefit.paths import Tree
from stablefit.training import host, inputs, intermediate, probe, stopping
from stablefit.training.cohort import Cohort, default_size, make_mesh
from stablefit.training.memory import member_bytes
from stablefit.training.network import Network
from stablefit.training.recipe import reinit_mask
from stablefit.training.settings import Settings
from stablefit.training.steps import Table

_MOST_STEPS = 10_000_000  # an order of batches is laid out for all of them
_LARGE_BATCH = 1024  # a smaller one may be larger than the training set


@dataclasses.dataclass(frozen=True, eq=False)
class Job:
    """A run that is ready to start."""

    settings: Settings
    task: tasks.Task
    objective: Objective
    source: str  # where the weights came from, as a person would want to know it
    encoder: EncoderConfig  # with as many word pieces as are trained
    pretrained: Tree  # {"encoder": ...}, and {"head": ...} if an intermediate task's head is kept
    words: vocabulary.Vocabulary | None  # the pieces that are trained; None: all
    data: Mapping[str, encoding.Encoded]  # "train", "validation", "test"
    n_skipped: int = 0  # broken rows of the files, which are left out
    start: intermediate.Start | None = None  # the intermediate task, if there was one
    part: int | None = None  # of which fold, or training subset, `data` is; None: all runs have the same
    digest: Digest | None = None  # of the data of all parts, as it was read; None if none was
    columns: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # of own texts: which hold what
    pieces: str = ""  # how the tokenizer cuts, in words
    root: "Job | None" = None  # the job that this is a part of

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

    @property
    def comparison_step(self) -> int:
        """The step at which seeds are compared, and only the best go on; 0: never."""
        share = self.values["stop_seeds_at"]
        return stopping.comparison_step(self.evaluation_steps, share) if share else 0

    @property
    def step_work(self) -> float:
        """About what a step costs, with its share of the evaluations; in passes of a token through a matrix's entry."""
        tokens = {name: float(data.lengths.sum()) for name, data in self.data.items()}
        training = 3 * self.spec.batch_size * tokens["train"] / self.n("train")  # a backward pass costs two forward
        evaluations = (len(self.evaluation_steps) + 1) * tokens["validation"] + 2 * tokens["test"]
        blocks = 12 * self.encoder.num_hidden_layers * self.encoder.hidden_size**2
        return blocks * (training + evaluations / self.total_steps)

    def parts(self, seeds: Sequence[int]) -> list[tuple["Job", list[int]]]:
        """The seeds by the data that they train on, each with its job: one, or one a fold or training subset."""
        if not self.settings.n_parts:
            return [(self, list(seeds))]
        parts = {seed: self.settings.part_of(seed) for seed in seeds}
        return [
            (self.of_part(part), [seed for seed in seeds if parts[seed] == part])
            for part in sorted(set(parts.values()))
        ]

    def of_part(self, part: int) -> "Job":
        """The same job on the examples of one fold or training subset."""
        data = _renumbered(self.objective.data(part), self.words)
        return dataclasses.replace(
            self, objective=self.objective.fitted(data["train"]), data=data, part=part, root=self
        )

    @property
    def n_rows(self) -> int:
        """How many rows a table has on the device: where there are parts those of all, which share programs."""
        return len(self.root.objective.encoded["train"]) if self.root else 0

    @functools.cached_property
    def beginning(self) -> Tree:
        """What a member starts from, beside what starts new: the pre-trained weights, and a probed head if it is on."""
        if self.spec.head_start == "normal":
            return self.pretrained
        return {**self.pretrained, **probe.fitted(self)}

    @property
    def pool(self) -> encoding.Encoded:
        """The examples that training is on; where there are parts those of all."""
        if not self.settings.n_parts:
            return self.data["train"]
        return _renumbered(self.objective.encoded, self.words)["train"]

    @functools.cached_property
    def network(self) -> Network:
        """What one member is."""
        return Network(self.settings, self.objective, self.encoder, self.pretrained, self.words)

    def cohort(self, members: int, total_steps: int) -> Cohort:
        """The programs of so many members, compiled already if this job has asked for them; parts share them."""
        return _cohort(self.root or self, members, total_steps)

    def member_bytes(self) -> int:
        """About what one member takes of an accelerator's memory while it trains."""
        data = self.data["train"]
        table = Table(data.tokens, data.types, self.objective.targets(data), tuple(data.further))
        return member_bytes(self.network, table, "gpu" if jax.local_devices()[0].platform == "gpu" else "tpu")

    def cohort_size(self, runs: int) -> int:
        """How many of so many runs go into one program."""
        return min(runs, self.values["cohort_size"]) or default_size(runs, self.member_bytes)

    @property
    def provenance(self) -> dict[str, Any]:
        """What a row says of how it was made."""
        device = jax.devices()[0]
        return {
            "model": self.source,
            "task": self.task.name,
            **({} if self.digest is None else {"data": self.digest.digest}),
            **({} if self.part is None else {"fold" if self.spec.folds else "subset": self.part}),
            **({} if self.start is None else {"init_from": self.start.record}),
            "device": f"{jax.device_count()} x {device.device_kind}",
            "cores": host.cores(),
            "versions": {name: version(name) for name in ("stablefit", "jax", "flax", "optax")},
        }


def load(settings: Settings) -> Job:
    """Reads model, tokenizer and data, and checks that the settings fit them.

    Raises:
        InputError: something is missing, broken, or does not fit together.
    """
    spec = settings.spec
    encoded = inputs.read(settings)  # a wrong folder should not cost the loading of a model
    directory = sources.resolve(spec.model)
    config = hf.load_config(directory)
    if spec.max_length > config.longest:
        raise InputError(f"config field max_length is {spec.max_length}; {spec.model} has {config.longest} positions")
    found = encoded(directory, config.vocab_size)
    task = found.task
    _check_depths(config, settings)
    if task.kind == "tagging" and (reason := family_of(config).no_tagger):
        raise InputError(f"{spec.model} cannot be trained to tag: {reason}; take a model of another family")
    data = found.objective.data(0)
    _check_types(data, config, spec.model)
    _check_ends(data, config, spec.model)
    objective = found.objective.fitted(data["train"])
    weights, report = _weights(directory, config)
    pretrained, start = {"encoder": weights}, None
    source = spec.model
    if not report.has_pooler and task.kind != "tagging" and spec.pooling == "pooler":
        source += f" ({_new_pooler(config, settings)})"
    if spec.init_from:
        pretrained, start = intermediate.load(Path(spec.init_from), pretrained, config, objective)
        source += f", trained further in {spec.init_from}"
    job = Job(settings, task, objective, source, config, pretrained, None, data, found.n_skipped, start)
    job = dataclasses.replace(job, digest=found.digest, columns=found.columns, pieces=found.pieces)
    if _rest_follows(job):
        job = _compacted(job)
    if job.total_steps > _MOST_STEPS:
        raise InputError(f"this run would be {job.total_steps:.3g} steps, at most {_MOST_STEPS:,}; lower epochs")
    if spec.batch_size > max(_LARGE_BATCH, job.n("train")):
        raise InputError(
            f"config field batch_size is {spec.batch_size:,}, and there are {job.n('train'):,} training examples; a "
            "batch of all of them is enough"
        )
    _ = job.comparison_step, job.network.model  # for their checks
    shapes = job.network.shapes
    jax.eval_shape(job.network.recipe(settings.hypers, job.total_steps).update(shapes).init, shapes)
    return job


def _new_pooler(config: EncoderConfig, settings: Settings) -> str:
    """What is said of a pooler that the weights do not have, and of asking that it start anew."""
    family = family_of(config)
    said = "without a pooler: it starts anew"
    if family.pooler_outside and not family.encoder.tags_pooled:
        said = f"the dense layer of {family.title}'s classifier starts anew: no pre-trained weights have it"
    return said + (", with reinit_pooler or without" if settings.spec.reinit_pooler else "")


def _check_depths(config: EncoderConfig, settings: Settings) -> None:
    """Methods of depth need blocks of different depths."""
    spec, reason = settings.spec, family_of(config).one_block
    on = {"reinit_layers": spec.reinit_layers, "reinit_blocks": spec.reinit_blocks}
    on["layer_decay"] = settings.hypers.layer_decay != 1.0
    if reason and (asked := [name for name, value in on.items() if value]):
        raise InputError(f"config field {asked[0]} cannot be used with {spec.model}: {reason}; leave it at its default")


def _check_types(data: Mapping[str, encoding.Encoded], config: EncoderConfig, model: str) -> None:
    """A token type without a row of its table would be NaN."""
    most = max(int(part.types.max(initial=0)) for part in data.values())
    if config.type_vocab_size and most >= config.type_vocab_size:
        raise InputError(
            f"{model}: config.json says type_vocab_size={config.type_vocab_size}, but the tokenizer marks the second "
            f"text of a pair as type {most}; a pair task needs a model with {most + 1} token types, or one without any"
        )


def _check_ends(data: Mapping[str, encoding.Encoded], config: EncoderConfig, model: str) -> None:
    """A text without its last token would be read elsewhere by transformers than here."""
    token = config.ends_with
    last = [part.tokens[np.arange(len(part)), part.lengths - 1] for part in data.values()]
    if token is not None and any((tokens != token).any() for tokens in last):
        raise InputError(
            f"{model}: config.json says eos_token_id={token}, but the tokenizer does not end every text with that "
            "token; take the tokenizer.json that belongs to the model"
        )


def _rest_follows(job: Job) -> bool:
    """Whether word pieces that never occur can be left out of training and put back exactly: see `models.vocabulary`.

    Not if the table starts anew, nor where what decay does to these rows goes through Adam or into a norm.
    """
    hypers = job.hypers
    anew = reinit_mask(job.spec, job.network.shapes)["encoder"]["embeddings"]["word_embeddings"]["embedding"]
    return not anew and not (hypers.weight_decay and (hypers.init_decay_coupled or hypers.projection_decay))


def _compacted(job: Job) -> Job:
    table = job.pretrained["encoder"]["embeddings"]["word_embeddings"]["embedding"]
    parts = [job.of_part(part) for part in range(job.settings.n_parts)]
    words = vocabulary.occurring([part.tokens for one in parts or [job] for part in one.data.values()], table)
    return dataclasses.replace(
        job,
        encoder=dataclasses.replace(job.encoder, vocab_size=len(words.pieces) + 1),
        pretrained=vocabulary.with_table(job.pretrained, words.compact()),
        words=words,
        data=_renumbered(job.data, words),
    )


def _renumbered(
    data: Mapping[str, encoding.Encoded], words: vocabulary.Vocabulary | None
) -> Mapping[str, encoding.Encoded]:
    if words is None:
        return data
    return {name: dataclasses.replace(part, tokens=words.renumber(part.tokens)) for name, part in data.items()}


@functools.lru_cache(maxsize=2)
def _cohort(job: Job, members: int, total_steps: int) -> Cohort:
    mesh = make_mesh(members, job.spec.batch_size)
    network, losses = job.network, job.objective.losses
    return Cohort(
        job.spec, job.hypers, network.model, losses, network.make_params, network.recipe, total_steps, mesh, members
    )


# A study asks for the same weights once a cell; nobody changes them.


@functools.lru_cache(maxsize=2)
def _weights(directory: Path, config: EncoderConfig) -> tuple[Tree, hf.LoadReport]:
    return hf.load_encoder(directory, config)
