"""The programs of runs as shapes, for chips that are not there; tpu_compile.py and gpu_compile.py compile them.

A case is a model's sizes, a config, how many members, and a slice. No weights are made and no data is read: the job is
built of shapes, and its `Cohort` is given a mesh of the slice's devices.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import numpy as np

from stablefit.configs.named import named
from stablefit.data import tasks
from stablefit.data.encoding import Encoded
from stablefit.data.packing import Layout
from stablefit.models.config import EncoderConfig
from stablefit.objectives.classification import Classification
from stablefit.objectives.objective import Objective
from stablefit.objectives.tagging import Tagging
from stablefit.training import job, settings
from stablefit.training.cohort import Cohort, make_mesh
from stablefit.training.memory import member_bytes
from stablefit.training.order import CAPACITY
from stablefit.training.steps import Table

PROGRAMS = ("train", "predict", "keep_better", "init")
EXAMPLES, STEPS, BATCHES = 2490, 234, 9  # RTE's training set, three epochs of it, its validation set in batches

MODELS = {
    "tiny": EncoderConfig(64, 16, 2, 2, 32, max_position_embeddings=512),
    "MiniLM": EncoderConfig(30522, 384, 6, 12, 1536),
    "BERT-base": EncoderConfig(30522, 768, 12, 12, 3072),
    "BERT-base-chinese": EncoderConfig(21128, 768, 12, 12, 3072),
    "BERT-large": EncoderConfig(30522, 1024, 24, 16, 4096),
}


class Chip(NamedTuple):
    """A chip, from its maker's pages: bytes of its memory, dense bfloat16 FLOP a second."""

    memory: int
    peak: float


CHIPS = {"v5e": Chip(16 << 30, 197e12), "v5p": Chip(95 << 30, 459e12), "v6e": Chip(32 << 30, 918e12)}
CARDS = {"h200": Chip(141 * 10**9, 989e12)}


class Case(NamedTuple):
    """One program of one run on one slice."""

    model: str
    config: str  # a name that `--config` takes
    dtype: str
    members: int
    topology: str  # as in v5e:2x4: chips in each direction
    program: str = "train"
    rows: int = 32
    length: int = 128
    remat: bool = False
    scan: bool = False

    @property
    def name(self) -> str:
        """What the results call it."""
        sizes = f"{self.members} x {self.rows} x {self.length}"
        how = " scan" * self.scan + " remat" * self.remat
        return f"{self.model} {self.config} {self.dtype}{how} {sizes} {self.topology} {self.program}"

    @property
    def chip(self) -> Chip:
        return (CHIPS | CARDS)[self.topology.split(":")[0]]


def devices(topology: str) -> list[Any]:
    """The devices of a slice, by the package `libtpu`; nothing runs on them."""
    from jax.experimental import topologies

    sides = [int(n) for n in topology.split(":")[1].split("x")]
    # A host has four chips, but for a slice of one.
    single = {"chips_per_host_bounds": [1, 1, 1]} if set(sides) == {1} else {}
    return topologies.get_topology_desc(platform="tpu", topology_name=topology, **single).devices


def job_of(case: Case) -> job.Job:
    """A run of these sizes whose weights and examples are shapes."""
    config = named(case.config)()
    config.update(batch_size=case.rows, eval_batch_size=case.rows, max_length=case.length, compute_dtype=case.dtype)
    config.update(folds=0, cohort_size=0, remat=case.remat, scan_layers=case.scan)
    chosen = settings.read(config.to_dict())
    task, encoder = tasks.get_task(str(config.task)), MODELS[case.model]
    objective: Objective = Classification(task)
    if task.kind == "tagging":
        objective = Tagging(task, {}, ("LOC", "ORG", "PER", "TIM"), 0, 0, bool(config.crf), False, ())
    model = Classification(tasks.get_task("rte")).model(encoder, 0.0, np.float32)  # with a pooler, as a file has it
    ones = [np.ones((1, 8), np.int32)] * 3
    weights = jax.eval_shape(lambda key: model.init(key, *ones, deterministic=True), jax.random.key(0))
    none = np.zeros((1, case.length), np.int32)
    data = Encoded(none, none, none, np.zeros(1, np.int32), np.full(1, case.length), 0)
    pretrained = {"encoder": weights["params"]["encoder"]}
    return job.Job(chosen, task, objective, "shapes", encoder, pretrained, None, {"train": data})


def cohort_of(the_job: job.Job, members: int, chips: list[Any]) -> Cohort:
    """Its programs on these devices."""
    mesh = make_mesh(members, the_job.spec.batch_size, chips)
    return dataclasses.replace(the_job.cohort(members, STEPS), mesh=mesh)


def lowered(case: Case, chips: list[Any] | None = None) -> tuple[job.Job, Cohort, jax.stages.Lowered]:
    """A case as it is given to the compiler.

    Args:
        chips: in place of those of the case's slice.
    """
    the_job = job_of(case)
    cohort = cohort_of(the_job, case.members, devices(case.topology) if chips is None else chips)
    table, batches = shapes(case, the_job.task.kind == "tagging")
    return the_job, cohort, cohort.lower(case.program, the_job.pretrained, table, batches)


def reckoned(case: Case) -> int:
    """What `default_size` reckons with as the bytes of a member."""
    the_job = job_of(case)
    platform = "gpu" if case.chip in CARDS.values() else "tpu"
    return member_bytes(the_job.network, shapes(case, the_job.task.kind == "tagging")[0], platform)


def shapes(case: Case, tags: bool) -> tuple[Table, Layout]:
    """The examples of a split, and the batches that one call is given; tagged words are a piece each."""
    n, steps = (EXAMPLES, CAPACITY) if case.program == "train" else (BATCHES * case.rows, BATCHES)

    def ints(*shape: int) -> Any:
        return jax.ShapeDtypeStruct(shape, np.int32)

    tokens = ints(n, case.length)
    table = Table(tokens, tokens, tokens if tags else ints(n), (tokens,) if tags else ())
    lead = (steps, 1) if case.program == "train" else (steps,)  # an accelerator takes a batch as one part
    where, each = ints(*lead, case.rows, case.length), ints(*lead, case.rows)
    weights: Any = jax.ShapeDtypeStruct(each.shape, np.float32)
    return table, Layout(where, where, where, each, each, each, weights)
