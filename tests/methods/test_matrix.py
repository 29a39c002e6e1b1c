"""Methods x trees x wrappers: every cell is right, or refused by a message that names the remedy."""

import functools
import json
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from stablefit import methods
from stablefit.errors import InputError
from stablefit.paths import names
from tests.methods import meshes
from tests.methods.matrix import MESHES, METHODS, WRAPPERS, cells, expected, gradient, steps, values
from tests.methods.matrix_trees import TORCH, TREES, WIDTH, LoraNet, base

PAGE = Path(__file__).parents[2] / "docs" / "transforms.md"
COLUMNS = (*WRAPPERS, *MESHES)
EXCEPTIONS = {("LoRA", "mixout"): "where=", ("scan", "multi_transform", "scale_by_layer_decay"): "whole="}
QUICK_TREES, QUICK_WRAPPERS = ("nnx",), ("alone", "multi_transform")
MAX_NORM = METHODS["clip_by_global_norm"][1]


@functools.cache
def page():
    """What the page says of each method in each wrapper."""
    table = [[cell.strip() for cell in line.strip("| ").split("|")] for line in PAGE.read_text().splitlines()]
    wide = [row for row in table if len(row) == len(COLUMNS) + 1 and row[0].startswith("`")]
    return {row[0].strip("`"): dict(zip(COLUMNS, row[1:], strict=True)) for row in wide}


GRID = [
    pytest.param(tree, wrapper, marks=() if wrapper in QUICK_WRAPPERS or tree in QUICK_TREES else pytest.mark.slow)
    for tree in TREES
    for wrapper in WRAPPERS
]


@pytest.mark.parametrize(("tree", "wrapper"), GRID)
def test_a_cell_is_right_or_refused(tree, wrapper):
    check(tree, wrapper, cells(tree, wrapper))


@pytest.mark.slow
@pytest.mark.parametrize("wrapper", MESHES)
@pytest.mark.parametrize("tree", TREES)
def test_a_cell_on_a_mesh_is_right_or_refused(tree, wrapper):
    """On four devices, eager and jitted: every leaf of updates, states and new parameters lies as its parameter."""
    found = meshes.of_another_process(wrapper)[tree]
    assert not found.faults
    for way, results in found.results.items():
        assert results.keys() == METHODS.keys(), way
        check(tree, wrapper, results)


def check(tree, wrapper, results):
    for method, result in results.items():
        said = page()[method][wrapper]
        remedy = EXCEPTIONS.get((tree, method)) or EXCEPTIONS.get((tree, wrapper, method))
        if remedy or said.startswith("refused: "):
            assert isinstance(result, str), f"{method} is not refused"
            assert (remedy or said.removeprefix("refused: ")) in result, f"{method}: {result}"
        else:
            assert said.startswith(("right", "each group", "the group")), said
            assert not isinstance(result, str), f"{method} is refused: {result}"
            compare(method, tree, wrapper, result)


def right(method, role, wrapper):
    """What a method does to a role of the plain tree; adapters and the other tower have other values."""
    role = base(role)
    alone = "bfloat16" if wrapper == "bfloat16" else "alone"
    if role.startswith("other_"):
        method = "nothing" if method == "scale_by_layer_decay" else method  # it counts the blocks of one tower
        return np.asarray(expected(alone, 2.0)[method][role.removeprefix("other_")], np.float32)
    if role.startswith("zero"):
        factor = METHODS[method][1] if method == "scale_by_path" else 1  # its rule is of `lora_b`
        return factor * np.asarray(expected(alone, 1.0)[method][f"kernel{role[-1]}"], np.float32)
    return np.asarray(expected(alone, 0.0)[method][role], np.float32)


def compare(method, tree, wrapper, result):
    assert len(result) >= 9  # a kernel, a bias and a scale of each block, an embedding, a pooler, a head
    got = {role: np.asarray(leaf, np.float32) for role, leaf in result.items()}
    want = {role: right(method, role, wrapper) for role in got}
    if method == "clip_by_global_norm":  # the norm is that of all leaves of a tree, which has its own
        if wrapper not in ("multi_transform", "masked"):
            np.testing.assert_allclose(length(got.values()), MAX_NORM, rtol=1e-2 if wrapper == "bfloat16" else 1e-5)
        got, want = ({role: x / np.linalg.norm(x) for role, x in part.items()} for part in (got, want))
    for role in got:
        if wrapper == "masked" and not base(role).endswith("0") and tree != "scan":
            continue  # passed through: in the next test
        if wrapper == "masked" and tree == "scan" and not role[-1].isdigit():
            continue
        rounded = wrapper == "bfloat16" and method == "clip_by_global_norm"  # by another norm, beside other leaves
        atol = (1e-2 if rounded else 1e-5) * np.abs(want[role]).max()
        np.testing.assert_allclose(got[role], want[role], rtol=0, atol=atol, err_msg=f"{method} {role}")


def length(leaves):
    return np.sqrt(sum(np.sum(np.square(x)) for x in leaves))


@pytest.mark.parametrize("tree", TREES)
def test_reinit_and_the_forward_door_of_mixout(tree):
    """Re-init with std 0 and mixout at rate 1 have no noise: the same roles change, to the same values."""
    case = TREES[tree]()
    params, anchor = values(case, 1), values(case, 0)
    after = case.read(methods.reinit(jax.random.key(0), params, layers=1, std=0.0, **case.where))
    start = {"kernel1": 0, "bias1": 0, "scale1": 1, "pooler": 0, "pooler_bias": 0, "zero1": 0}
    for role, old in case.read(params).items():
        new = np.full_like(old, start[base(role)]) if base(role) in start else old
        np.testing.assert_array_equal(after[role], new, err_msg=role)
    mixed = methods.mixout(1.0, where=[r".*/kernel"] if tree == "LoRA" else None)
    after = case.read(mixed.apply(jax.random.key(0), params, mixed.init(anchor)))
    for role, old in case.read(params).items():
        taken = re.fullmatch(r"(other_)?(kernel\d|pooler|head)", base(role)) and not role.endswith("lora_a")
        np.testing.assert_array_equal(after[role], case.read(anchor)[role] if taken else old, err_msg=role)


def test_masked_passes_on_what_is_not_its_own():
    found, alone = cells("linen", "masked"), cells("linen", "alone")
    passed = found["scale_by_layer_decay"]["embedding"]
    np.testing.assert_allclose(passed, 8 * alone["scale_by_layer_decay"]["embedding"], rtol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_adapters_are_trained_beside_frozen_weights(method):
    """The optimizer of the adapters alone: no frozen weight moves, and an adapter moves as it does beside others."""
    model = LoraNet(nnx.Rngs(0))
    case, (make, value) = TREES["LoRA"](), METHODS[method]
    nnx.update(model, values(case, 1))
    before, adapters = (jax.tree.map(jnp.copy, nnx.state(model, kind)) for kind in (nnx.Param, nnx.LoRAParam))
    if method == "mixout":
        transform = methods.as_gradient_transformation(methods.mixout(value, where=[".*/lora_a"]), jax.random.key(0))
        with pytest.raises(InputError, match="where="):
            make(value).init(adapters)
    else:
        transform = make(value)
    right, _ = steps(transform, adapters, adapters, [gradient(adapters, 0)])
    optimizer = nnx.Optimizer(model, optax.chain(transform, optax.scale(-0.1)), wrt=nnx.LoRAParam)
    optimizer.update(model, gradient(adapters, 0), grad_fn=lambda p, _: gradient(p, 0))
    moved = case.read(nnx.state(model, nnx.Param))
    for role, old in case.read(before).items():
        if "lora_a" not in role and "zero" not in role:
            np.testing.assert_array_equal(moved[role], old, err_msg=role)
    start, end = by_name(adapters), by_name(nnx.state(model, nnx.LoRAParam))
    for name, update in by_name(right).items():
        assert np.any(update) or (method == "mixout" and name.endswith("lora_a")), name
        np.testing.assert_allclose(end[name], start[name] - 0.1 * update, rtol=1e-5, atol=1e-6, err_msg=name)


def by_name(tree):
    return dict(zip(names(tree), map(np.asarray, jax.tree.leaves(tree)), strict=True))


def test_the_torch_tree_has_the_names_and_shapes_of_the_module():
    pytest.importorskip("torch", reason="torch is not installed: the committed list stands for it")
    import transformers

    config = transformers.BertConfig(
        vocab_size=WIDTH, hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=2, intermediate_size=WIDTH,
        max_position_embeddings=WIDTH, type_vocab_size=WIDTH, num_labels=WIDTH,
    )  # fmt: skip
    state = transformers.BertForSequenceClassification(config).state_dict()
    assert json.loads(TORCH.read_text()) == {name: list(x.shape) for name, x in state.items()}


def test_the_page_has_every_method_and_tree():
    assert page().keys() == METHODS.keys()
    rows = re.findall(r"^\| ([\w ]+?) \| (?:`|all)", PAGE.read_text(), re.MULTILINE)
    assert set(TREES) <= set(rows)
