"""The recipe as a whole, init, forward, loss and update, against the slow form of `slow_recipe.py`, for twenty steps.

What is compared is what a run does: a job's members, made and trained by the programs of their cohort, with a small
network and in float64, so that nothing but the recipe can make a difference.
"""

import dataclasses
import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import base
from stablefit.data import packing
from stablefit.data.tasks import get_task
from stablefit.fields import FIELDS
from stablefit.models.config import EncoderConfig
from stablefit.objectives.classification import Classification
from stablefit.paths import names
from stablefit.training import job, settings
from stablefit.training.steps import Table
from tests.training import slow_recipe as slow
from tests.training.slow_recipe import BLOCKS, N_WORDS, D

STEPS, EXAMPLES, BATCH = 20, 12, 4
FILLER = EXAMPLES - 1
STD = 0.3  # not BERT's .02
IDENTITY: dict[str, Any] = {
    "learning_rate": 0.02,
    "schedule": "linear",
    "warmup_ratio": 0.0,
    "clip_norm": float("inf"),
    "component_clip_norm": float("inf"),
    "b1": 0.9,
    "b2": 0.999,
    "eps": 1e-8,
    "eps_hat": False,
    "bias_correction": "both",
    "weight_decay": 0.0,
    "init_decay": 0.0,
    "init_decay_coupled": 0.0,
    "init_decay_unscaled": 0.0,
    "projection_decay": 0.0,
    "init_decay_everywhere": False,
    "layer_decay": 1.0,
    "layer_decay_convention": "paper",
    "lr_multipliers": "",
    "reinit_layers": 0,
    "reinit_blocks": (),
    "reinit_patterns": "",
    "reinit_pooler": False,
    "mixout_rate": 0.0,
    "mixout_unit": "input",
    "mixout_gradient": "true",
    "mixout_with_dropout": True,
    "dropout": 0.0,
    "r_drop": 0.0,
    "sam_rho": 0.0,
}
# Off the identity, so far that twenty steps show it. The traced fields are arguments of a compiled program.
TRACED: dict[str, Any] = {
    "learning_rate": 0.05,
    "clip_norm": 0.08,
    "component_clip_norm": 0.03,
    "weight_decay": 0.7,
    "init_decay": 0.9,
    "init_decay_coupled": 0.4,
    "init_decay_unscaled": 0.1,
    "projection_decay": 0.8,
    "layer_decay": 0.6,
    "mixout_rate": 0.4,
    "r_drop": 0.8,
    "sam_rho": 0.3,
}
STATIC: dict[str, tuple[Any, ...]] = {
    "schedule": ("bert", "uncorrected"),
    "warmup_ratio": (0.35,),
    "b1": (0.5,),
    "b2": (0.9,),
    "eps": (1e-2,),
    "eps_hat": (True,),
    "bias_correction": ("none", "first", "second"),
    "init_decay_everywhere": (True,),
    "layer_decay_convention": ("electra",),
    "lr_multipliers": ("head/.*=5 .*/kernel=0.3",),
    "reinit_layers": (1,),
    "reinit_blocks": ((0,),),
    "reinit_patterns": (".*embedding .*layer_0/output/kernel",),
    "reinit_pooler": (True,),
    "mixout_unit": ("weight",),
    "mixout_gradient": ("official",),
    "dropout": (0.3,),
}
PARTNERS = {  # what must be on for a field to matter
    "schedule": {"warmup_ratio": 0.35},
    "eps_hat": {"eps": 1e-2},
    "init_decay_everywhere": {"init_decay": 0.9, "reinit_layers": 1},
    "layer_decay_convention": {"layer_decay": 0.6},
    "mixout_unit": {"mixout_rate": 0.4},
    "r_drop": {"dropout": 0.3},
    "mixout_gradient": {"mixout_rate": 0.4, "eps": 1e-2},  # else Adam undoes a factor on the gradient
}


def schedule() -> tuple[np.ndarray, np.ndarray]:
    """Examples and weights of each step, [S, E]; every third batch is filled up, and examples count differently."""
    rng = np.random.default_rng(3)
    indices = rng.integers(0, FILLER, (STEPS, BATCH)).astype(np.int32)
    weights = rng.choice([0.5, 1.0, 2.0], (STEPS, BATCH)).astype(np.float32)
    indices[::3, 3], weights[::3, 3] = FILLER, 0.0
    return indices, weights


def table() -> Table:
    rng = np.random.default_rng(4)
    tokens = rng.integers(0, N_WORDS, (EXAMPLES, 2)).astype(np.int32)
    labels = rng.integers(0, slow.C, EXAMPLES).astype(np.int32)
    labels[FILLER] = 99  # its loss is NaN, which must not leak
    return Table(tokens, np.zeros_like(tokens), labels)


@functools.cache
def key_data(purpose: int) -> np.ndarray:
    each = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(purpose), np.arange(64))
    return np.asarray(jax.random.key_data(each))


def keys(members: int, purpose: int) -> jax.Array:
    return jax.random.wrap_key_data(key_data(purpose)[:members])


def make_job(**changes: Any) -> job.Job:
    """A job with the small network; the forms of decay to init may be on together, as members of one program are."""
    config = base.get_config()
    forms = ("init_decay", "init_decay_coupled", "init_decay_unscaled", "projection_decay")
    own = {name: value for name, value in changes.items() if name in forms}
    alone = changes | dict.fromkeys(list(own)[1:], 0.0) | ({} if own else {"init_decay_everywhere": False})
    config.update(IDENTITY | alone)
    read = settings.read(config.to_dict())
    spec = dataclasses.replace(read.spec, init_decay_everywhere=changes.get("init_decay_everywhere", False))
    read = read._replace(spec=spec, hypers=dataclasses.replace(read.hypers, **own))
    encoder = EncoderConfig(N_WORDS, D, len(BLOCKS), 1, D, initializer_range=STD)
    objective = Classification(get_task("mnli"))
    made = job.Job(read, objective.task, objective, "", encoder, slow.nested(slow.pretrained()), None, {})
    vars(made.network)["model"] = slow.SmallNetwork(read.spec.dropout)
    return made


def begin(made: job.Job, members: list[dict[str, Any]]) -> tuple[Any, Any, Any]:
    """The programs of the members, what is traced of each, and their state at step 0."""

    def make_params(*start: Any) -> Any:
        return jax.tree.map(lambda x: x.astype(jnp.float64), made.network.make_params(*start))

    cohort = dataclasses.replace(made.cohort(len(members), STEPS), make_params=make_params)
    traced = cohort.traced([dataclasses.replace(made.hypers, **member) for member in members])
    return cohort, traced, cohort.init(keys(len(members), 1), cohort.put(made.pretrained), traced)


def run(made: job.Job, members: list[dict[str, Any]]) -> tuple[Any, Any, dict[str, np.ndarray]]:
    """The members' parameters at step 0 and after all steps, and each step's metrics."""
    cohort, traced, state = begin(made, members)
    first = jax.tree.map(np.array, state.params)
    indices, weights = schedule()
    lengths = np.full(EXAMPLES, 2)
    rows = packing.layout(indices, weights, packing.places(indices, weights, lengths, 2), lengths, 2, BATCH)
    rows = packing.in_parts(rows, BATCH, BATCH)
    batches = cohort.put_batches(jax.tree.map(lambda x: np.stack([x] * len(members)), rows), by_member=True)
    state, records = cohort.train(state, cohort.put(table()), batches, keys(len(members), 2), STEPS, traced)
    return first, jax.tree.map(np.asarray, state.params), {name: np.asarray(x) for name, x in records.items()}


def leaves(tree: Any, member: int) -> slow.Arrays:
    return {name: np.asarray(x)[member] for name, x in zip(names(tree), jax.tree.leaves(tree), strict=True)}


def slow_run(fields: dict[str, Any], first: slow.Arrays, member: int):
    indices, weights = schedule()
    data = table()
    labels = np.where(np.arange(EXAMPLES) == FILLER, 0, data.labels)
    batches = [
        slow.Batch(data.tokens[i], labels[i], w.astype(np.float64)) for i, w in zip(indices, weights, strict=True)
    ]
    return slow.train(fields, first, batches, keys(member + 1, 2)[member])


def check(changes: dict[str, Any], members: list[dict[str, Any]]) -> list[slow.Arrays]:
    """Runs all members in one program and each slowly; returns the parameters after all steps."""
    with jax.enable_x64(True):
        made = make_job(**changes | {name: TRACED[name] for member in members for name in member})
        first, last, records = run(made, members)
        found = []
        for i, member in enumerate(members):
            fields = IDENTITY | changes | member
            begin = slow.start(fields, keys(len(members), 1)[i], STD)
            ours = leaves(first, i)
            assert ours.keys() == begin.keys()
            for name, x in begin.items():  # drawn in float32
                np.testing.assert_allclose(ours[name], x, rtol=1e-6, atol=1e-7, err_msg=f"{name} of step 0, {member}")
            end, losses, norms = slow_run(fields, ours, i)
            np.testing.assert_allclose(records["loss"][i], losses, rtol=1e-9, atol=1e-13, err_msg=f"losses, {member}")
            np.testing.assert_allclose(
                records["grad_norm"][i], norms, rtol=1e-7, atol=1e-12, err_msg=f"norms, {member}"
            )
            found.append(leaves(last, i))
            for name, x in end.items():
                np.testing.assert_allclose(found[-1][name], x, rtol=1e-8, atol=1e-10, err_msg=f"{name}, {member}")
    return found


def apart(one: slow.Arrays, other: slow.Arrays) -> float:
    return max(float(np.abs(one[name] - other[name]).max()) for name in one)


ALONE = list(TRACED.items())
ALONE += [(name, value) for name, values in STATIC.items() for value in values]


def programs() -> list[dict[str, Any]]:
    """Values of the static fields such that each two values of two fields are together in one of them."""
    levels = {name: (IDENTITY[name], *values) for name, values in STATIC.items()}
    pairs = itertools.combinations(levels, 2)
    missing = {(a, x, b, y) for a, b in pairs for x in levels[a] for y in levels[b]}
    rng = np.random.default_rng(0)
    chosen = []
    while missing:
        tried = []
        for _ in range(40):
            one = {name: values[rng.integers(len(values))] for name, values in levels.items()}
            new = {pair for pair in missing if one[pair[0]] == pair[1] and one[pair[2]] == pair[3]}
            tried.append((len(new), len(tried), one, new))
        _, _, one, new = max(tried, key=lambda found: found[:2])
        missing -= new
        chosen.append(one)
    return chosen


PROGRAMS = programs()
PAIRS = list(itertools.combinations(TRACED, 2))
PARTS = 4  # a program has one part of the pairs


@pytest.mark.parametrize(
    "number", [pytest.param(i, marks=[pytest.mark.slow] if i >= PARTS else []) for i in range(len(PROGRAMS))]
)
def test_fields_in_pairs_are_the_slow_form(number):
    """The members of a program: every traced field at its identity, each alone, and pairs of them."""
    of_pairs = [dict.fromkeys(pair) for pair in PAIRS[number % PARTS :: PARTS]]
    on = [{}, *({name: None} for name in TRACED), *of_pairs]
    members = [{name: TRACED[name] if name in one else IDENTITY[name] for name in TRACED} for one in on]
    check(PROGRAMS[number], members)


@pytest.mark.parametrize(("field", "value"), ALONE, ids=[f"{name}={value}" for name, value in ALONE])
def test_a_field_alone_is_the_slow_form(field, value):
    """Everything else at its identity is left out of the program."""
    partners = PARTNERS.get(field, {})
    (found,) = check(partners | {field: value}, [{}])
    fields = IDENTITY | partners
    without, _, _ = slow_run(fields, slow.start(fields, keys(1, 1)[0], STD), 0)
    assert apart(found, without) > 1e-3


def test_every_field_of_the_recipe_is_here():
    """But those that the encoder itself reads, and those of the head, which `test_probe.py` is about."""
    parts = ("Adam, clipping, schedule", "Methods on the update", "Methods on the loss", "Methods on the parameters")
    of_encoder = {"attention_dropout"}
    assert {name for name, field in FIELDS.items() if field.part in parts} - of_encoder == IDENTITY.keys()
    assert TRACED.keys() | STATIC.keys() | {"mixout_with_dropout"} == IDENTITY.keys()


def test_mixout_mixes_with_the_values_of_the_start():
    """The pre-trained ones, and those of what starts anew."""
    with jax.enable_x64(True):
        made = make_job(mixout_rate=0.4, reinit_layers=1)
        _, _, state = begin(made, [{}])
        anchors, start = leaves(state.anchor.anchor, 0), leaves(state.params, 0)
    assert anchors.keys() == {name for name in start if name.endswith("/kernel")}
    for name, x in anchors.items():
        np.testing.assert_array_equal(x, start[name], err_msg=name)
    name = "encoder/layer_0/output/kernel"
    np.testing.assert_array_equal(anchors[name], slow.pretrained()[name])
