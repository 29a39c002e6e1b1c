"""Factors of a study: what a config says, and which levels a seed has."""

import pytest

from stablefit import factors
from stablefit.errors import InputError
from stablefit.training import settings
from tests import tiny


def test_a_seed_is_a_number_in_mixed_radix():
    design = factors.parse("subset=3 init+data=2 noise=4")
    n = factors.combinations(design)
    every = [factors.levels(design, seed) for seed in range(n)]
    assert n == 24 == len(set(every))
    assert every[:4] == [(0, 0, 0), (1, 0, 0), (2, 0, 0), (0, 1, 0)]
    assert factors.levels(design, n + 5) == every[5]
    assert factors.streams(design, 7) == {"subset": 1, "init": 0, "data": 0, "noise": 1}
    assert factors.n_subsets(design) == 3
    assert factors.n_subsets(factors.parse("init=3")) == 0


def test_seed_is_all_that_is_not_named():
    (draw, seed), (init, rest) = factors.parse("subset=2 seed=3"), factors.parse("init=2 seed=3")
    assert seed.streams == ("init", "data", "noise")
    assert rest.streams == ("data", "noise")
    titles = [one.title for one in (draw, seed, init, rest)]
    assert titles == ["training draw", "seed", "start of the head", "order of the examples and dropout and mixout"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("subset", "has 'subset'; it must be a source of chance and how many levels"),
        ("subset=1", "has 'subset=1'"),
        ("subset=1001", "has 'subset=1001'"),
        ("subset=\u0663", "has 'subset=\u0663'"),
        ("head=5", "has 'head=5'"),
        ("seed+init=2", "has 'seed\\+init=2'"),
        ("init=2 init=3", "init is in it twice"),
        ("init+init=2", "init is in it twice"),
        ("init+data+noise=2 seed=2", "nothing is left that seed could stand for"),
    ],
)
def test_bad_factors(text, message):
    with pytest.raises(InputError, match=message):
        factors.parse(text)


def test_streams_of_a_run(tiny_root):
    read = settings.read(tiny.config(tiny_root, factors="init=2 noise=3", data_seed=7, train_examples=0))
    assert read.stream_seeds(5) == (1, 7, 2)
    assert (read.subset_seeds, read.n_parts) == ((0,), 0)
    drawn = settings.read(tiny.config(tiny_root, factors="subset=2 init=3", train_examples=20))
    assert drawn.stream_seeds(5) == (2, 5, 5)  # what is no factor follows the seed
    assert (drawn.subset_seeds, drawn.n_parts, drawn.part_of(5)) == ((0, 1), 2, 1)
    assert settings.read(tiny.config(tiny_root, subset_seed=4, train_examples=20)).subset_seeds == (4,)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"factors": "subset=2"}, "factors='subset=2' draws training examples, and train_examples is 0"),
        ({"subset_seed": 3}, "subset_seed=3 draws training examples, and train_examples is 0"),
        ({"factors": "subset=2", "subset_seed": 3, "train_examples": 8}, "subset_seed=3 are both on"),
        ({"factors": "init=2", "init_seed": 0}, "factors='init=2' and init_seed=0 are both on"),
        ({"factors": "init=2", "folds": 3, "task": "tagging"}, "factors='init=2' and folds=3 are both on"),
        ({"factors": "init=2", "stop_seeds_at": 0.5, "seeds": (0, 1)}, "and stop_seeds_at=0.5 are both on"),
    ],
)
def test_a_source_that_varies_is_neither_held_nor_missing(tiny_root, changes, message):
    with pytest.raises(InputError, match=message):
        settings.read(tiny.config(tiny_root, **changes))


def test_runs_of_before_keep_their_names(tiny_root):
    plain = settings.read(tiny.config(tiny_root, train_examples=20))
    assert not {"factors", "subset_seed"} & plain.identity.keys()
    others = [{"factors": "init=2"}, {"subset_seed": 1}]
    marks = {settings.read(tiny.config(tiny_root, train_examples=20, **one)).fingerprint for one in others}
    assert len(marks | {plain.fingerprint}) == 3
