"""How many examples a property gets, and what people's files hold.

STABLEFIT_EXAMPLES=5000 is the long form; without it every property has few, so that all take half a minute. The
examples are the same each time, and nothing is kept between two calls.
"""

import json
import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("STABLEFIT_EXAMPLES", "40"))


def examples(share: float = 1.0) -> settings:
    """The settings of a property; one whose examples are slow takes a share of them."""
    return settings(
        max_examples=max(3, int(share * EXAMPLES)),
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )


FEW = examples(0.25)
ALL = examples()

# Letters that readers take for something, and some that they stumble over: a surrogate half, NUL, line ends of Unicode.
SIGNS = "aab01.-,;:|\t\"'\\/ \n\r=+*()[]{}<>#%&?@_~^$!éßЖ漢\u3000\u00a0\u0301\u200b\u2028\x85\x0b\x1b\x00\U0001f680"


def text_of(signs: str = SIGNS, most: int = 30) -> st.SearchStrategy[str]:
    """Texts in which signs that mean something are common."""
    return st.text(st.sampled_from(signs) | st.characters(exclude_categories=()), max_size=most)


def whole(text: str) -> bool:
    """Whether a file in UTF-8 can hold it, and a table would not refuse it: no half of a character, no NUL."""
    return not any(letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in text)


ANY_BYTES = st.binary(max_size=200) | text_of(most=80).map(lambda text: text.encode("utf-8", "surrogatepass"))
STARTS = st.sampled_from([bytes([i]) for i in range(48, 68)])  # what chooses the kind of a file

_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 40)
    | st.sampled_from([10**400, -(10**400), 2**31, 2**63, 2**64])
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=6)
    | st.sampled_from(["", "0", "one", "NaN", "accuracy", "a/b", "../a", "a\nb", "\x1b[2J", "classification", "rte"])
)
VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def objects(*names: str, most: int = 6) -> st.SearchStrategy[dict[str, Any]]:
    """JSON objects with some of these fields, of any values."""
    return st.dictionaries(st.sampled_from([*names, "other"]), VALUES, max_size=most)


def changed(good: dict[str, Any], most: int = 2) -> st.SearchStrategy[dict[str, Any]]:
    """An object that is right but for a few fields, which have any value or are gone."""
    gone = st.sets(st.sampled_from(sorted(good)), max_size=1)
    return st.tuples(st.dictionaries(st.sampled_from(sorted(good)), VALUES, max_size=most), gone).map(
        lambda both: {name: value for name, value in {**good, **both[0]}.items() if name not in both[1]}
    )


def lines(rows: list[Any]) -> bytes:
    """JSON lines."""
    return "".join(json.dumps(row) + "\n" for row in rows).encode()
