"""The files of GLUE's tasks."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from stablefit.data import readers
from stablefit.data.tasks import TASKS
from tests.fuzz import targets
from tests.properties.profile import ALL, ANY_BYTES, text_of, whole

KINDS = st.integers(0, 2 * len(targets._GLUE) - 1).map(lambda i: bytes([i]))
TEXT = text_of("ab \"',é漢\u2028", 12).filter(
    lambda text: text.strip() and whole(text) and not set("\t\n\r") & set(text)
)
HEADERS = [
    "index\tsentence1\tsentence2\tlabel",
    "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate",
    "index\tsentence1\tsentence2\tscore",
    "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String",
    "sentence\tlabel",
    "sentence,label",
]


@ALL
@given(KINDS, ANY_BYTES)
@example(bytes([1]), b"\xef\xbb\xbf")
@example(bytes([3]), b"\xef\xbb\xbf\n")
@example(bytes([5]), b"\x0b\n")
def test_any_bytes(kind, content):
    targets.glue(kind + content)


@ALL
@given(KINDS, st.sampled_from(HEADERS), st.lists(text_of('ab01,\t"', 12), max_size=5), st.sampled_from(["\n", "\r\n"]))
def test_any_lines_below_a_header(kind, header, rows, end):
    targets.glue(kind + end.join([header, *rows]).encode("utf-8", "surrogatepass"))


@ALL
@given(st.lists(st.tuples(TEXT, TEXT, st.sampled_from(["entailment", "not_entailment"])), min_size=1, max_size=6))
def test_pairs_are_read_as_they_were_written(rows):
    text = "index\tsentence1\tsentence2\tlabel\n" + "".join(f"{i}\t{a}\t{b}\t{c}\n" for i, (a, b, c) in enumerate(rows))
    found = readers.read_examples(targets.written("pairs.tsv", text.encode()), TASKS["rte"])
    assert found.texts_a == [a for a, _, _ in rows]
    assert found.texts_b == [b for _, b, _ in rows]
    assert [TASKS["rte"].labels[i] for i in found.labels] == [c for _, _, c in rows]
    assert found.ids == [f"pairs.tsv:{i + 2}" for i in range(len(rows))]


@ALL
@given(st.lists(st.floats(0, 5), min_size=1, max_size=6))
def test_scores_are_unchanged(values):
    text = "index\tsentence1\tsentence2\tscore\n" + "".join(f"{i}\ta\tb\t{value!r}\n" for i, value in enumerate(values))
    found = readers.read_examples(targets.written("scores.tsv", text.encode()), TASKS["stsb"])
    assert found.labels.tolist() == np.array(values, np.float32).tolist()
