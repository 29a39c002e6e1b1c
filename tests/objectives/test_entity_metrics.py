"""Entity scores by hand and against seqeval."""

import random
import warnings

import pytest

from stablefit.data.tags.tagging import Span, tag_names
from stablefit.errors import InputError
from stablefit.objectives.entity_metrics import Counts, score_spans, score_tags

# (gold, predicted, F1 strict, F1 conlleval); of each by hand: 2 hits / (predicted + gold)
BY_HAND = [
    ("B-LOC O B-LOC", "I-LOC O B-LOC", 2 / 3, 1.0),
    ("B-LOC", "I-LOC", 0.0, 1.0),
    ("B-LOC I-LOC O", "B-LOC I-LOC O", 1.0, 1.0),
    ("B-LOC I-LOC O", "B-LOC O O", 0.0, 0.0),
    ("B-LOC I-LOC O", "B-PER I-PER O", 0.0, 0.0),
    ("B-LOC I-LOC O", "B-LOC I-LOC I-PER", 1.0, 2 / 3),
    ("B-LOC I-LOC B-LOC", "B-LOC B-LOC B-LOC", 2 / 5, 2 / 5),
    ("O O", "O O", 0.0, 0.0),
    ("O O", "B-LOC O", 0.0, 0.0),
    ("B-LOC O", "O O", 0.0, 0.0),
]


@pytest.mark.parametrize(("gold", "predicted", "strict", "conlleval"), BY_HAND)
def test_scores_worked_by_hand(gold, predicted, strict, conlleval):
    pair = [gold.split()], [predicted.split()]
    assert score_tags(*pair, "strict").micro.f1 == pytest.approx(strict)
    assert score_tags(*pair, "conlleval").micro.f1 == pytest.approx(conlleval)


def test_counts_are_kept_by_type():
    gold = [["B-LOC", "I-LOC", "O", "B-PER"], ["B-LOC", "O"]]
    predicted = [["B-LOC", "I-LOC", "O", "B-LOC"], ["O", "B-ORG"]]
    scores = score_tags(gold, predicted, "strict")
    assert scores.micro == Counts(hits=1, predicted=3, gold=3)
    assert scores.per_type == {
        "LOC": Counts(hits=1, predicted=2, gold=2),
        "ORG": Counts(hits=0, predicted=1, gold=0),
        "PER": Counts(hits=0, predicted=0, gold=1),
    }
    assert (scores.per_type["ORG"].precision, scores.per_type["ORG"].recall, scores.per_type["ORG"].f1) == (0, 0, 0)
    row = scores.as_row()
    assert [row.pop(f"entity_{name}_strict") for name in ("f1", "precision", "recall")] == [1 / 3] * 3
    assert [row.pop(f"entity_{name}_strict_LOC") for name in ("f1", "precision", "recall")] == [1 / 2] * 3
    assert len(row) == 6
    assert set(row.values()) == {0}


def test_the_mode_stands_beside_the_number():
    scores = score_tags([["B-LOC"]], [["I-LOC"]], "conlleval")
    assert str(scores).splitlines()[0] == "entity F1 (conlleval) 1.0000, precision 1.0000, recall 1.0000, 1 gold"
    named = {f"entity_{name}_conlleval" for name in ("f1", "precision", "recall")}
    assert set(scores.as_row()) == named | {f"{name}_LOC" for name in named}


def test_entities_lost_before_the_model_are_misses():
    span = Span(0, 2, "LOC")
    scores = score_spans([[span]], [[span]], unrepresented={"LOC": 1, "PER": 2})
    assert (scores.micro.precision, scores.micro.recall, scores.micro.f1) == (1.0, 0.25, 0.4)
    assert scores.per_type["PER"] == Counts(0, 0, 2)
    assert "3 of them lost before the model" in str(scores)
    assert score_tags([["O"]], [["O"]], "strict", unrepresented={"LOC": 1}).micro == Counts(0, 0, 1)
    assert score_spans([[span]], [[span]], unrepresented={}) == score_spans([[span]], [[span]])


def test_spans_count_once_and_only_in_their_own_text():
    span = Span(0, 1, "X")
    assert score_spans([[span], []], [[], [span]]).micro == Counts(0, 1, 1)
    assert score_spans([[span]], [[span, span]]).micro == Counts(1, 1, 1)
    assert score_spans([], []).micro.f1 == 0.0


def test_what_does_not_belong_together_is_refused():
    with pytest.raises(ValueError, match="1 gold and 2 predicted texts"):
        score_spans([[]], [[], []])
    with pytest.raises(ValueError, match="text 0 has 1 gold and 2 predicted tags"):
        score_tags([["O"]], [["O", "O"]], "strict")
    with pytest.raises(ValueError, match="must be counts from 0 up"):
        score_spans([[]], [[]], unrepresented={"X": -1})
    with pytest.raises(InputError, match="entity mode 'lenient' is not known; one of: strict, conlleval"):
        score_tags([["O"]], [["O"]], "lenient")


@pytest.mark.parametrize("scheme", ["iob2", "iobes"])
@pytest.mark.parametrize("mode", ["strict", "conlleval"])
def test_scores_of_random_tags_are_seqevals(mode, scheme):
    """Most of these sequences are not well-formed, on both sides."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an old package
        from seqeval import metrics as seqeval
        from seqeval import scheme as schemes
    how = {"mode": "strict", "scheme": getattr(schemes, scheme.upper())} if mode == "strict" else {}
    draw = random.Random(0)
    labels = tag_names(["LOC", "PER"], scheme)
    n_hits = 0
    for _ in range(40):
        lengths = [draw.randint(1, 8) for _ in range(draw.randint(1, 4))]
        gold = [draw.choices(labels, k=n) for n in lengths]
        predicted = [[tag if draw.random() < 0.7 else draw.choice(labels) for tag in tags] for tags in gold]
        scores = score_tags(gold, predicted, mode, scheme)
        if not scores.micro.gold + scores.micro.predicted:
            continue
        n_hits += scores.micro.hits
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            report = seqeval.classification_report(gold, predicted, output_dict=True, zero_division=0, **how)
        rows = {name: row for name, row in report.items() if name not in ("macro avg", "weighted avg")}
        found = {"micro avg": scores.micro, **scores.per_type}
        assert set(rows) == set(found)
        for name, counts in found.items():
            expected = [float(rows[name][field]) for field in ("precision", "recall", "f1-score", "support")]
            assert [counts.precision, counts.recall, counts.f1, counts.gold] == pytest.approx(expected)
    assert n_hits > 50
