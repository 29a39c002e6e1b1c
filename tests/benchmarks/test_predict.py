"""The arithmetic of the benchmark of predictions, and its texts; no PyTorch, no timing that means anything."""

from benchmarks import predict


def test_the_ratio_is_taken_round_by_round_against_the_best_way():
    taken = {("ours", "-"): [1.0, 2.0], ("theirs", "8"): [2.0, 6.0], ("theirs", "32"): [5.0, 5.0]}
    both = [("theirs", "8"), ("theirs", "32")]
    assert predict.ratio(taken, both) == {"ratio": 2.5, "least": 2.0, "most": 3.0, "best_batch": 8}
    assert predict.ratio(taken, []) == {}


def test_long_texts_are_joined_short_ones():
    short, long = (predict.texts_of(name, 20) for name in predict.SETS)
    assert len(short) == len(long) == 20
    assert long[0].startswith(short[0])
    assert sum(map(len, long)) > 2 * sum(map(len, short))


def test_our_side_answers(tmp_path):
    predict.write_model(tmp_path)
    labels = predict.ours(tmp_path)(["a text", "another one"], "-")
    assert set(labels) <= {"rotten", "fresh"}
