"""The CRF against the enumeration of all paths in float64, and against pytorch-crf."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stablefit.data.tags.tagging import allowed_transitions, first_fault, tag_names
from stablefit.models import crf

K = 3
log_likelihood = jax.jit(crf.log_likelihood)
viterbi = jax.jit(crf.viterbi)


def params_of(n_tags=K, seed=0, scale=1.5):
    random = np.random.default_rng(seed)
    shapes = {"transitions": (n_tags, n_tags), "start": (n_tags,), "end": (n_tags,)}
    return {name: (scale * random.standard_normal(shape)).astype(np.float32) for name, shape in shapes.items()}


def problem(length, n_tags=K, seed=0):
    """Rows of one length, one for each of the 2^length masks, with junk where the mask is False."""
    random = np.random.default_rng(seed + length)
    mask = np.array(list(itertools.product([False, True], repeat=length)))
    emissions = (2 * random.standard_normal((*mask.shape, n_tags))).astype(np.float32)
    tags = random.integers(0, n_tags, mask.shape)
    return emissions, np.where(mask, tags, -100), mask


def paths_and_scores(params, emissions_TxK):
    """Every path over the positions of one row, and its score."""
    params = {name: x.astype(np.float64) for name, x in params.items()}
    length, n_tags = emissions_TxK.shape
    paths = np.array(list(itertools.product(range(n_tags), repeat=length)))
    scores = params["start"][paths[:, 0]] + params["end"][paths[:, -1]]
    scores += emissions_TxK.astype(np.float64)[np.arange(length), paths].sum(1)
    return paths, scores + params["transitions"][paths[:, :-1], paths[:, 1:]].sum(1)


def counts_of(paths, weights, n_tags):
    """How often each start, transition, end and tag at a position occurs, weighted: what the scores are linear in."""
    found = {
        "transitions": np.zeros((n_tags, n_tags)),
        "start": np.bincount(paths[:, 0], weights, n_tags),
        "end": np.bincount(paths[:, -1], weights, n_tags),
    }
    for before, after in zip(paths.T[:-1], paths.T[1:], strict=True):
        np.add.at(found["transitions"], (before, after), weights)
    return found, np.stack([np.bincount(column, weights, n_tags) for column in paths.T])


def enumerated(params, emissions, tags, mask):
    """Log-likelihoods, their summed gradients, and marginals, from the list of all paths."""
    n_tags = emissions.shape[-1]
    log_p, log_z = np.zeros(len(mask)), np.zeros(len(mask))
    gradients = {name: np.zeros(x.shape) for name, x in params.items()}
    gradient, marginals = np.zeros(emissions.shape), np.zeros(emissions.shape)
    for row in range(len(mask)):
        here = mask[row]
        if not here.any():
            continue
        paths, scores = paths_and_scores(params, emissions[row, here])
        log_z[row] = np.log(np.exp(scores - scores.max()).sum()) + scores.max()
        is_gold = (paths == tags[row, here]).all(1)
        log_p[row] = scores[is_gold].item() - log_z[row]
        probabilities = np.exp(scores - log_z[row])
        counts, expected = counts_of(paths, is_gold - probabilities, n_tags)
        for name in gradients:
            gradients[name] += counts[name]
        gradient[row, here] = expected
        marginals[row, here] = counts_of(paths, probabilities, n_tags)[1]
    return log_p, log_z, gradients, gradient, marginals


@jax.jit
def everything(params, emissions, tags, mask):
    def total(params, emissions):
        log_p = crf.log_likelihood(params, emissions, tags, mask)
        return log_p.sum(), log_p

    (_, log_p), gradients = jax.value_and_grad(total, argnums=(0, 1), has_aux=True)(params, emissions)
    return log_p, crf.log_partition(params, emissions, mask), *gradients, crf.marginals(params, emissions, mask)


@pytest.mark.parametrize("length", range(1, 7))
def test_values_and_gradients_are_those_of_all_paths(length):
    params = params_of()
    inputs = problem(length)
    found = everything(params, *inputs)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(enumerated(params, *inputs)), strict=True):
        assert a.dtype == np.float32
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("barred", [False, True])
@pytest.mark.parametrize("length", [1, 2, 3, 5])
def test_the_best_path_is_the_best_of_all(length, barred):
    params = params_of(seed=1)
    emissions, _, mask = problem(length, seed=7)
    allowed = allowed_transitions(("O", "B-X", "I-X"), "iob2") if barred else None
    tags, scores = viterbi(params, emissions, mask, allowed)
    held = params if allowed is None else {name: np.where(allowed[name], x, -np.inf) for name, x in params.items()}
    for row in range(len(mask)):
        assert not np.any(np.asarray(tags)[row, ~mask[row]])
        if not mask[row].any():
            assert scores[row] == 0
            continue
        paths, of_paths = paths_and_scores(held, emissions[row, mask[row]])
        assert np.asarray(tags)[row, mask[row]].tolist() == paths[of_paths.argmax()].tolist()
        np.testing.assert_allclose(scores[row], of_paths.max(), rtol=1e-5)


@pytest.mark.parametrize("scheme", ["iob2", "iobes"])
def test_barred_paths_are_never_taken(scheme):
    """Also where the scores speak for nothing else, and where skipped positions lie in between."""
    labels = tag_names(["A", "B"], scheme)
    allowed = allowed_transitions(labels, scheme)
    random = np.random.default_rng(0)
    emissions = random.standard_normal((64, 9, len(labels))).astype(np.float32)
    emissions[:, :, [label[0] in "IE" for label in labels]] += 5
    mask = random.random((64, 9)) < 0.7
    zeros = crf.init(jax.random.key(0), len(labels))
    free, barred = (np.asarray(viterbi(zeros, emissions, mask, bars)[0]) for bars in (None, allowed))

    def faults(tags):
        return sum(first_fault([labels[k] for k in tags[row, mask[row]]], scheme) is not None for row in range(64))

    assert faults(free) > 50
    assert faults(barred) == 0


def test_nothing_allowed_scores_minus_infinity():
    allowed = {"transitions": np.ones((K, K), bool), "start": np.zeros(K, bool), "end": np.ones(K, bool)}
    scores = viterbi(params_of(), np.zeros((2, 3, K), np.float32), np.array([[1, 1, 1], [0, 0, 0]]), allowed)[1]
    assert scores.tolist() == [-np.inf, 0.0]


def test_masks_with_holes_are_those_of_the_gathered_positions():
    emissions, tags, mask = problem(6)
    params = params_of()
    order = np.argsort(~mask, axis=1, kind="stable")
    gathered = (
        np.take_along_axis(emissions, order[:, :, None], 1),
        np.take_along_axis(tags, order, 1),
        np.take_along_axis(mask, order, 1),
    )
    holes, left = everything(params, emissions, tags, mask), everything(params, *gathered)
    np.testing.assert_allclose(holes[0], left[0], atol=1e-5)
    best, best_left = (viterbi(params, e, m)[0] for e, m in ((emissions, mask), (gathered[0], gathered[2])))
    for row in range(len(mask)):
        assert np.asarray(best)[row, mask[row]].tolist() == np.asarray(best_left)[row, gathered[2][row]].tolist()


def test_what_stands_beside_the_mask_has_no_influence():
    emissions, tags, mask = problem(5)
    params = params_of()
    junk = np.where(mask[:, :, None], emissions, np.nan).astype(np.float32)
    clean = np.where(mask[:, :, None], emissions, 0)
    for a, b in zip(
        jax.tree.leaves(everything(params, junk, np.where(mask, tags, 2**31 - 1), mask.astype(np.int32))),
        jax.tree.leaves(everything(params, clean, np.where(mask, tags, 0), mask)),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(viterbi(params, junk, mask), viterbi(params, clean, mask), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("tag", [-1, K])
def test_a_tag_out_of_range_makes_its_row_nan(tag):
    tags = np.array([[0, 1], [0, tag]])
    log_p = log_likelihood(params_of(), np.zeros((2, 2, K), np.float32), tags, np.ones((2, 2), bool))
    assert np.isnan(log_p).tolist() == [False, True]


def test_zeros_are_a_softmax_at_every_position():
    emissions, tags, mask = problem(4)
    log_p = log_likelihood(crf.init(jax.random.key(3), K), emissions, tags, mask)
    each = np.take_along_axis(np.asarray(jax.nn.log_softmax(emissions)), np.where(mask, tags, 0)[:, :, None], 2)
    np.testing.assert_allclose(log_p, np.where(mask, each[:, :, 0], 0).sum(1), rtol=1e-5, atol=1e-5)


def test_new_parameters_have_the_spread_asked_for():
    params = crf.init(jax.random.key(0), 40, 0.1)
    assert np.std(params["transitions"]) == pytest.approx(0.1, rel=0.1)
    assert not np.array_equal(params["start"], params["end"])
    assert not any(np.any(x) for x in crf.init(jax.random.key(0), 40).values())


def test_bfloat16_emissions_are_computed_in_float32():
    emissions, tags, mask = problem(6)
    rounded = jnp.asarray(emissions, jnp.bfloat16)
    params = params_of()
    log_p, _, _, gradient, found = everything(params, rounded, tags, mask)
    expected = enumerated(params, np.asarray(rounded, np.float32), tags, mask)
    np.testing.assert_allclose(log_p, expected[0], rtol=2e-5, atol=2e-5)
    assert log_p.dtype == jnp.float32
    assert gradient.dtype == jnp.bfloat16
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, expected[4], atol=2e-5)


def test_a_long_sentence_keeps_its_precision():
    """512 positions with large scores: path and partition, whose difference counts, are in the thousands."""
    random = np.random.default_rng(0)
    emissions = (4 * random.standard_normal((1, 512, K))).astype(np.float32)
    params = params_of()
    tags = np.asarray(viterbi(params, emissions, np.ones((1, 512), bool))[0])
    wide = {name: x.astype(np.float64) for name, x in params.items()}
    alpha = wide["start"] + emissions[0, 0]
    gold = alpha[tags[0, 0]]
    for t in range(1, 512):
        alpha = np.logaddexp.reduce(alpha[:, None] + wide["transitions"], axis=0) + emissions[0, t]
        gold += wide["transitions"][tags[0, t - 1], tags[0, t]] + emissions[0, t, tags[0, t]]
    expected = gold + wide["end"][tags[0, -1]] - np.logaddexp.reduce(alpha + wide["end"])
    found = log_likelihood(params, emissions, tags, np.ones((1, 512), bool))[0]
    assert float(found) == pytest.approx(expected, rel=2e-6)


def test_members_are_independent():
    """vmap over parameters and emissions, as a cohort of seeds does, is the loop over them."""
    _, tags, mask = problem(4)
    params = [params_of(seed=s) for s in range(3)]
    emissions = [problem(4, seed=s)[0] for s in range(3)]
    stacked = jax.tree.map(lambda *x: np.stack(x), *params)
    found = jax.vmap(everything, in_axes=(0, 0, None, None))(stacked, np.stack(emissions), tags, mask)
    best = jax.vmap(viterbi, in_axes=(0, 0, None))(stacked, np.stack(emissions), mask)
    for member in range(3):
        alone = everything(params[member], emissions[member], tags, mask)
        for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(alone), strict=True):
            np.testing.assert_allclose(a[member], b, atol=1e-5)
        np.testing.assert_array_equal(best[0][member], viterbi(params[member], emissions[member], mask)[0])


def test_shapes_that_do_not_belong_together_are_named():
    with pytest.raises(ValueError, match=r"emissions \(2, 5, 4\), mask \(2, 5\) and 3 tags"):
        crf.log_likelihood(params_of(), np.zeros((2, 5, 4)), np.zeros((2, 5), int), np.ones((2, 5), bool))


@pytest.mark.parity
@pytest.mark.filterwarnings("default")  # torch's warnings are its own
def test_pytorch_crf_gives_the_same():
    torch = pytest.importorskip("torch", reason="parity needs PyTorch")
    torchcrf = pytest.importorskip("torchcrf", reason="parity needs the package pytorch-crf")
    params = params_of(5)
    random = np.random.default_rng(0)
    emissions = random.standard_normal((8, 12, 5)).astype(np.float32)
    tags = random.integers(0, 5, (8, 12))
    mask = np.arange(12)[None] < random.integers(1, 13, 8)[:, None]
    theirs = torchcrf.CRF(5, batch_first=True)
    leaves = {"transitions": theirs.transitions, "start": theirs.start_transitions, "end": theirs.end_transitions}
    with torch.no_grad():
        for name, leaf in leaves.items():
            leaf.copy_(torch.tensor(params[name]))
    e = torch.tensor(emissions, requires_grad=True)
    log_p = theirs(e, torch.tensor(tags), torch.tensor(mask), reduction="none")
    log_p.sum().backward()

    found, _, gradients, gradient, _ = everything(params, emissions, tags, mask)
    np.testing.assert_allclose(found, log_p.detach().numpy(), rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(gradient, e.grad.numpy(), atol=1e-5)
    for name, leaf in leaves.items():
        np.testing.assert_allclose(gradients[name], leaf.grad.numpy(), atol=5e-5)
    best = np.asarray(viterbi(params, emissions, mask)[0])
    assert [best[row, mask[row]].tolist() for row in range(8)] == theirs.decode(e, torch.tensor(mask))


def test_the_probability_of_staying_within():
    """Against the sum over the paths that do, for every mask, random sets of tags and one of no path."""
    params = params_of()
    emissions, tags, mask = problem(4)
    within = np.random.default_rng(1).random(emissions.shape) < 0.6
    within[-1, 2] = False
    path = np.where(mask, np.maximum(tags, 0), 0)
    found = np.asarray(jax.jit(crf.log_probability_within)(params, emissions, mask, within, path))
    for row in range(len(mask)):
        here = mask[row]
        if not here.any():
            assert found[row] == 0
            continue
        paths, scores = paths_and_scores(params, emissions[row, here])
        stays = within[row, here][np.arange(here.sum()), paths].all(1)
        chance = np.exp(scores - scores.max())
        np.testing.assert_allclose(np.exp(found[row]), chance[stays].sum() / chance.sum(), atol=1e-6)
    assert found[-1] == -np.inf


def test_a_long_row_loses_no_digits():
    """A thousand positions without doubt but one: the probability is that position's."""
    length = 1000
    emissions = np.zeros((1, length, K), np.float32)
    emissions[0, :, 0] = 60.0
    emissions[0, 500] = [0.3, 0.1, -0.2]
    zeros = {name: np.zeros_like(x) for name, x in params_of().items()}
    within = np.ones(emissions.shape, bool)
    within[0, 500] = [True, False, False]
    mask, path = np.ones((1, length), bool), np.zeros((1, length), np.int32)
    found = crf.log_probability_within(zeros, emissions, mask, within, path)
    expected = np.exp(0.3) / np.exp([0.3, 0.1, -0.2]).sum()
    np.testing.assert_allclose(np.exp(found), expected, rtol=1e-6)
