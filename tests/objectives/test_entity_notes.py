"""What a run says of its entities: counts, what a split lacks, and what no emission can tell apart."""

import numpy as np
import pytest

from stablefit.data.tags.tagging import Span
from stablefit.data.tags.tagging_encoding import n_unparted
from stablefit.training import job, plan, settings
from tests import tiny


@pytest.fixture
def announced(tiny_root, tmp_path):
    """`announced(name, **changes)`: what a run on the folder of that name says."""
    (tmp_path / "model").symlink_to(tiny_root / "model")

    def make(name, **changes):
        own = {"task": "tagging", "data_dir": str(tmp_path / name)}
        return plan.announcement(job.load(settings.read(tiny.config(tmp_path, **own | changes))))

    return make


def test_what_a_fold_lacks_is_said(announced, tmp_path):
    """A type of one entity is in the test set of one fold, which cannot learn it."""
    folder = tiny.write_tagging(tmp_path / "own")
    train = (folder / "train.bio").read_text()
    (folder / "train.bio").write_text(train + "w1 B-RARE\n".replace(" ", "\t"))
    text = announced("own", folds=4)
    assert "types    LOC, PER, RARE" in text
    assert "folds    4: seed s is tested on fold s mod 4; test.bio not read" in text
    [line] = [line for line in text.splitlines() if line.startswith("missing")]
    assert line.count("no RARE in train, 1 in test") == 1
    (folder / "dev.bio").write_text("w9\tO\n")
    assert "missing  no entity in validation" in announced("own", folds=0)


@pytest.mark.parametrize(
    ("size", "said"),
    [(0, ""), (2, "the sentences of each of 12 documents"), (4, "6 documents (-DOCSTART-) are too few to be kept")],
)
def test_whole_documents_are_said(announced, tmp_path, size, said):
    file = tiny.write_tagging(tmp_path / "own") / "train.bio"
    sentences = file.read_text().strip().split("\n\n")
    starts = ["-DOCSTART-\tO\n\n" if size and i % size == 0 else "" for i in range(len(sentences))]
    file.write_text("\n\n".join(map("".join, zip(starts, sentences, strict=True))) + "\n")
    text = announced("own", folds=2)
    assert ("\nwhole    " in text) == bool(said)
    assert said in text


def test_nothing_is_said_of_documents_that_no_split_cuts(announced, tmp_path):
    folder = tiny.write_tagging(tmp_path / "own")
    (folder / "dev.bio").write_text((folder / "test.bio").read_text())
    sentences = (folder / "train.bio").read_text()
    (folder / "train.bio").write_text("-DOCSTART-\tO\n\n" + sentences + "-DOCSTART-\tO\n\nw0\tB-LOC\n")
    assert "-DOCSTART-" not in announced("own")
    assert "2 documents (-DOCSTART-) are too few" in announced("own", folds=2)


@pytest.mark.parametrize(
    ("spans", "n"),
    [
        ([Span(0, 6, "X")], 0),  # the whole of both pieces
        ([Span(0, 1, "X")], 0),  # a first character has emissions of its own
        ([Span(1, 3, "X")], 1),  # its B- and I- are alike
        ([Span(0, 2, "X")], 1),
        ([Span(0, 2, "X"), Span(2, 3, "X"), Span(3, 6, "X")], 2),
    ],
)
def test_edges_between_words_of_the_same_emissions_are_counted(spans, n):
    """Two pieces of three characters each."""
    tags = np.zeros((1, 8), np.int32)
    tags[:, 6:] = -1
    for span in spans:
        tags[0, span.start : span.end] = [1] + [2] * (span.end - span.start - 1)

    class Part:
        labels, words = tags, np.array([[1, 1, 1, 2, 2, 2, 0, 0]])

    assert n_unparted([Part()]) == n  # pyright: ignore[reportArgumentType]
