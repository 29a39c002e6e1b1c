"""The command line's overrides, and the small languages that fields hold."""

import itertools
import math
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stablefit import declaring, factors, flags, paths
from stablefit.configs import base
from stablefit.errors import InputError
from stablefit.fields import FIELDS
from stablefit.training import settings
from tests.fuzz import targets
from tests.properties.profile import ALL, ANY_BYTES, FEW, VALUES, text_of

CONFIG = {**base.get_config().to_dict(), "model": "none", "pooling": "pooler", "task": "rte"}
NAMES = st.sampled_from(sorted(FIELDS))
SAID = st.sampled_from(
    [
        "0",
        "-1",
        "1e400",
        "0-4",
        "range(3)",
        "9" * 5000,
        "0-" + "9" * 5000,
        "(1,",
        "True",
        "[]",
        "None",
        "0,1,,2",
        "inf",
        "nan",
        "1_0",
        "'a'",
        "a b",
        "",
        "((((",
        "\x1b[2J",
        "٣",
        "²",
        "0x10",
    ]
)


@FEW
@given(ANY_BYTES)
def test_any_bytes(content):
    targets.overrides(content)
    targets.words(content)


@FEW
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["--config.", "-config.", "--noconfig.", "--"]),
            NAMES | text_of(most=6),
            st.sampled_from(["=", "\n", ""]),
            SAID | text_of(most=8),
        ),
        max_size=3,
    )
)
@example([("--config.", "seeds", "=", "range(" + "9" * 5000 + ")")])
@example([("--config.", "seeds", "=", "0-" + "9" * 5000)])
@example([("--config.", "factors", "=", "subset=" + "9" * 5000)])
def test_any_argument(arguments):
    targets.overrides("\n".join(map("".join, arguments)).encode("utf-8", "surrogatepass"))


def allowed(name: str) -> st.SearchStrategy:
    """Values of a field's type, most of them good ones."""
    kinds = {
        bool: st.booleans(),
        int: st.integers(-1, 10**7),
        float: st.floats(0, 1) | st.floats(allow_nan=False),
        str: st.sampled_from([FIELDS[name].default, "a b"]) | st.text("ab=/.* 0", max_size=6),
        tuple: st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=4, unique=True).map(tuple),
    }
    return kinds[FIELDS[name].kind]


@FEW
@given(NAMES.flatmap(lambda name: st.tuples(st.just(name), allowed(name))))
def test_an_override_is_the_value_that_was_given(pair):
    name, value = pair
    said = ",".join(map(str, value)) + "," if isinstance(value, tuple) else str(value)
    found = flags.parse(["--config=rte", f"--config.{name}={said}"]).config[name]
    assert (found, type(found)) == (value, type(value))


@FEW
@given(st.integers(0, 2**31), st.integers(1, 50))
def test_a_range_is_its_numbers(start, n):
    seeds = tuple(range(start, start + n))
    for said in (f"{start}-{start + n - 1}", f"range({start}, {start + n})"):
        assert flags.parse(["--config=rte", f"--config.seeds={said}"]).config.seeds == seeds


@ALL
@given(st.dictionaries(NAMES, VALUES, max_size=3))
@example({"learning_rate": 10**400})
@example({"seeds": [0, [1]]})
@example({"factors": "subset=" + "9" * 5000})
def test_any_values_in_a_config(changes):
    found = targets.said(lambda: settings.read({**CONFIG, **changes, "pooling": "pooler"}), "config field")
    if found is not None:
        assert {name: type(value) for name, value in found.values.items()} == {
            name: f.kind for name, f in FIELDS.items()
        }
        assert re.fullmatch("[0-9a-f]{12}", found.fingerprint)


FACTORS = st.permutations(["subset", "init", "data", "noise"]).flatmap(
    lambda names: st.lists(st.integers(2, 5), min_size=1, max_size=4).map(lambda ns: list(zip(names, ns, strict=False)))
)


@ALL
@given(FACTORS)
def test_seeds_are_every_combination_once(pairs):
    found = factors.parse(" ".join(f"{name}={n}" for name, n in pairs))
    n = factors.combinations(found)
    assert n == math.prod(levels for _, levels in pairs)
    assert {factors.levels(found, seed) for seed in range(n)} == set(itertools.product(*(range(k) for _, k in pairs)))
    for seed in range(0, 2 * n, 7):
        streams = factors.streams(found, seed)
        assert [streams[name] for name, _ in pairs] == list(factors.levels(found, seed))


@ALL
@given(
    st.lists(
        st.tuples(st.text("abc/.*=|", min_size=1, max_size=6), st.floats(0, allow_nan=False, allow_infinity=False))
    )
)
def test_multipliers_are_read_as_they_were_written(pairs):
    assert declaring.rules("  ".join(f"{pattern}={factor!r}" for pattern, factor in pairs)) == tuple(pairs)


@ALL
@given(text_of("ab.*+?()[]{}|\\d0,^$layer_/", 14))
@example("(a?){40}b")
@example("(?:.?){60}x")
@example("[[a]")
@example("layer_(.*.*.*.*.*.*.*.*.*.*)x")
@pytest.mark.timeout(60)
def test_any_pattern(pattern):
    targets.words(pattern.encode("utf-8", "surrogatepass"))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("pattern", ["(a?){40}b", "(?:.?){60}x", "((.?)){60}x", "(x?y?)*z"])
def test_an_optional_part_that_repeats_is_refused(pattern):
    """Every way to leave so many of them out is tried: (.?){60}x on a name of 30 letters is 10^17 ways."""
    with pytest.raises(InputError, match="may take for ever"):
        paths.select({"encoder": {"layer_0": {"attention": {"output": {"kernel": 0}}}}}, [pattern])
    assert paths.select({"a": {"b": 0}}, ["(a/)?b?"]) == {"a": {"b": True}}
