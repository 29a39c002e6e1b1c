"""Methods x trees x wrappers: every cell is right, or refused by a message that names the remedy."""

import functools
import re
from pathlib import Path

import jax
import numpy as np
import pytest

from stablefit import methods
from tests.methods.matrix import METHODS, TREES, WRAPPERS, arrays, cells, values

PAGE = Path(__file__).parents[2] / "docs" / "transforms.md"
EXCEPTIONS = {("LoRA", "mixout"): "where=", ("scan", "multi_transform", "scale_by_layer_decay"): "whole="}
QUICK_TREES, QUICK_WRAPPERS = ("nnx", "scan"), ("alone", "multi_transform")


@functools.cache
def expected(dtype):
    """The same in the names of our own encoder, which other tests compare with NumPy; without any wrapper."""
    return cells("stablefit", dtype)


@functools.cache
def page():
    """What the page says of each method in each wrapper."""
    table = [[cell.strip() for cell in line.strip("| ").split("|")] for line in PAGE.read_text().splitlines()]
    wide = [row for row in table if len(row) == len(WRAPPERS) + 1 and row[0].startswith("`")]
    return {row[0].strip("`"): dict(zip(WRAPPERS, row[1:], strict=True)) for row in wide}


GRID = [
    pytest.param(tree, wrapper, marks=() if wrapper in QUICK_WRAPPERS or tree in QUICK_TREES else pytest.mark.slow)
    for tree in TREES
    for wrapper in WRAPPERS
]


@pytest.mark.parametrize(("tree", "wrapper"), GRID)
def test_a_cell_is_right_or_refused(tree, wrapper):
    for method, result in cells(tree, wrapper).items():
        said = page()[method][wrapper]
        remedy = EXCEPTIONS.get((tree, method)) or EXCEPTIONS.get((tree, wrapper, method))
        if remedy or said.startswith("refused: "):
            assert isinstance(result, str), f"{method} is not refused"
            assert (remedy or said.removeprefix("refused: ")) in result, f"{method}: {result}"
        else:
            assert said.startswith(("right", "each group", "the group")), said
            assert not isinstance(result, str), f"{method} is refused: {result}"
            compare(method, tree, wrapper, result)


def compare(method, tree, wrapper, result):
    right = expected("bfloat16" if wrapper == "bfloat16" else "alone")[method]
    roles = [role for role in right if role in result]
    assert len(roles) == (2 if tree == "LoRA" else len(right))
    if method == "clip_by_global_norm" and (tree in ("two towers", "LoRA") or wrapper in ("multi_transform", "masked")):
        direction = {role: np.asarray(result[role], float) / np.linalg.norm(result[role]) for role in roles}
        result, right = (
            direction,
            {role: np.asarray(right[role], float) / np.linalg.norm(right[role]) for role in roles},
        )
    for role in roles:
        if wrapper == "masked" and not role.endswith("0") and not (tree == "scan" and role[-1].isdigit()):
            continue  # passed through: in the next test
        got, want = np.asarray(result[role], np.float32), np.asarray(right[role], np.float32)
        rounded = wrapper == "bfloat16" and method == "clip_by_global_norm"  # by another norm, beside other leaves
        atol = (1e-2 if rounded else 1e-5) * np.abs(want).max()
        np.testing.assert_allclose(got, want, rtol=0, atol=atol, err_msg=f"{method} {role}")


@pytest.mark.parametrize("tree", TREES)
def test_reinit_and_the_forward_door_of_mixout(tree):
    """Re-init with std 0 and mixout at rate 1 have no noise: the same roles change, to the same values."""
    case = TREES[tree]()
    params = values(case, 1)
    after = case.read(methods.reinit(jax.random.key(0), params, layers=1, std=0.0, **case.where))
    start = {"kernel1": 0, "bias1": 0, "scale1": 1, "pooler": 0, "zero1": 0}
    for role, old in case.read(params).items():
        np.testing.assert_array_equal(after[role], np.full_like(old, start[role]) if role in start else old)
    if tree == "LoRA":
        return
    mixed = methods.mixout(1.0)
    after = case.read(mixed.apply(jax.random.key(0), params, mixed.init(values(case, 0))))
    for role, old in arrays(0).items():
        taken = role.startswith("kernel") or role in ("pooler", "head")
        np.testing.assert_array_equal(after[role], old if taken else arrays(1)[role])


def test_masked_passes_on_what_is_not_its_own():
    found, alone = cells("stablefit", "masked"), cells("stablefit", "alone")
    passed = found["scale_by_layer_decay"]["embedding"]
    np.testing.assert_allclose(passed, 8 * alone["scale_by_layer_decay"]["embedding"], rtol=1e-5)


def test_the_page_has_every_method_and_tree():
    assert page().keys() == METHODS.keys()
    rows = re.findall(r"^\| ([\w ]+?) \| (?:`|all)", PAGE.read_text(), re.MULTILINE)
    assert set(TREES) <= set(rows)
