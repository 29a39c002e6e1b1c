"""The estimators as scikit-learn's tools use them, on a model that trains in seconds."""

import pickle
import re
import signal
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score
from sklearn.pipeline import Pipeline

import stablefit
from stablefit import Tagger, TextClassifier, TextRegressor
from stablefit.errors import InputError
from stablefit.training import loop
from stablefit.training.signals import Interrupted
from tests import tiny

ROOT = Path(__file__).parents[1]
QUICK = {"max_steps": 12, "max_length": 16, "learning_rate": 1e-2, "fields": {"batch_size": 8, "dropout": 0.0}}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return str(tiny.write_model(tmp_path_factory.mktemp("estimators") / "model", blocks=1))


@pytest.fixture(scope="module")
def make(model):
    def estimator(kind=TextClassifier, **changes):
        return kind(model, **{**QUICK, **changes})

    return estimator


def sentences(n: int = 24) -> tuple[list[str], np.ndarray]:
    """Texts, and the number in each one's first word, of 8: what it says is whether that is below 4.

    The halves of the texts have all words, so that they share compiled programs.
    """
    numbers = np.random.default_rng(0).integers(0, 8, (n, 5))
    numbers[:, 0] = np.where(np.arange(n) % 2, numbers[:, 0] % 4, 4 + numbers[:, 0] % 4)
    return [" ".join(f"w{x}" for x in row) for row in numbers], numbers[:, 0]


TEXTS, FIRST = sentences()
LABELS = ["early" if x < 4 else "late" for x in FIRST]


@pytest.fixture(scope="module")
def fitted(make):
    return make(seeds=2).fit(TEXTS, LABELS)


def test_arguments_are_kept_as_they_are_given(make):
    fields = {"batch_size": 8}
    one = make(seeds=np.int64(2), fields=fields, random_state=7)
    assert one.fields is fields
    assert one.get_params()["seeds"] == 2
    again = clone(one).set_params(max_steps=3)
    assert again.get_params() == {**one.get_params(), "max_steps": 3}
    assert pickle.loads(pickle.dumps(one)).get_params() == one.get_params()
    assert is_classifier(one)
    assert is_regressor(make(TextRegressor))
    assert clone(make(Tagger)).get_params()["crf"] is True


def test_classes_come_back_as_they_were(fitted):
    assert fitted.classes_.tolist() == ["early", "late"]
    found = fitted.predict_proba(TEXTS)
    assert found.shape == (24, 2)
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-5)
    assert fitted.predict(TEXTS).tolist() == fitted.classes_[found.argmax(1)].tolist()
    assert fitted.score(TEXTS, LABELS) == np.mean(fitted.predict(TEXTS) == LABELS)
    assert fitted.score(TEXTS, LABELS) > 0.8
    assert len(fitted.model_.members) == 2
    assert fitted.predict([]).shape == (0,)


def test_the_same_seeds_and_texts_give_the_same_bits(fitted, make):
    again = make(seeds=2).fit(np.array(TEXTS), pd.Series(LABELS))
    assert np.array_equal(again.predict_proba(TEXTS), fitted.predict_proba(pd.DataFrame({"text": TEXTS})))
    average = make(seeds=2, keep="average").fit(TEXTS, LABELS)
    assert len(average.model_.members) == 1
    kernel = [member["head"]["kernel"] for member in fitted.model_.members]
    np.testing.assert_allclose(average.model_.members[0]["head"]["kernel"], (kernel[0] + kernel[1]) / 2, rtol=1e-6)
    other = make(random_state=1).fit(TEXTS, LABELS)
    assert np.array_equal(other.model_.members[0]["head"]["kernel"], kernel[1])


def test_nothing_is_left_behind(make, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    make(max_steps=1).fit(TEXTS, LABELS).save(tmp_path / "kept")
    assert [one.name for one in tmp_path.iterdir()] == ["kept"]
    assert "stablefit_" not in (tmp_path / "kept" / "model" / "bundle" / "bundle.json").read_text()


def test_a_saved_estimator_answers_the_same(fitted, tmp_path):
    fitted.save(tmp_path / "kept")
    fitted.save(tmp_path / "kept")
    loaded = TextClassifier.load(tmp_path / "kept")
    assert loaded.get_params() == fitted.get_params()
    assert loaded.classes_.tolist() == fitted.classes_.tolist()
    for one in (loaded, pickle.loads(pickle.dumps(fitted))):
        assert np.array_equal(one.predict_proba(TEXTS), fitted.predict_proba(TEXTS))
    assert list(stablefit.load(tmp_path / "kept").predict(TEXTS)) == fitted.predict(TEXTS).tolist()
    loaded.save(tmp_path / "again")
    assert np.array_equal(TextClassifier.load(tmp_path / "again").predict_proba(TEXTS), fitted.predict_proba(TEXTS))
    (tmp_path / "kept" / "estimator.json").unlink()  # as the folder of a fit is
    assert TextClassifier.load(tmp_path / "kept").predict(TEXTS).tolist() == fitted.predict(TEXTS).tolist()
    with pytest.raises(InputError, match="kind classification, which is no TextRegressor"):
        TextRegressor.load(tmp_path / "kept")
    with pytest.raises(InputError, match="is not empty and holds no saved estimator"):
        fitted.save(tmp_path)


@pytest.mark.parametrize("values", [[5, -3], [True, False], ["10", "9"], [2.0, 1.0], ["x", 3], [None, None]])
def test_labels_of_any_type(make, values, tmp_path):
    y = [values[int(x < 4)] for x in FIRST]
    if None in values:
        with pytest.raises(InputError, match=r"y\[0\] is None; give every text a label"):
            make().fit(TEXTS, y)
        return
    one = make(max_steps=2).fit(TEXTS, y)
    said = one.predict(TEXTS).tolist()
    assert {(type(value), value) for value in said} <= {(type(value), value) for value in values}
    one.save(tmp_path / "kept")
    assert TextClassifier.load(tmp_path / "kept").predict(TEXTS).tolist() == said


def test_pairs(make):
    pairs = list(zip(TEXTS, reversed(TEXTS), strict=True))
    one = make(max_steps=2).fit(pairs, LABELS)
    found = one.predict_proba(pairs)
    assert np.array_equal(one.predict_proba(np.array(pairs)), found)
    assert np.array_equal(one.predict_proba(pd.DataFrame(pairs)), found)
    assert not np.array_equal(one.predict_proba([(b, a) for a, b in pairs]), found)
    with pytest.raises(InputError, match="reads pairs of texts"):
        one.predict(TEXTS)


def test_several_labels_a_text(make, tmp_path):
    sets = [{"low"} if x < 2 else {"low", "even"} if x < 4 else set() for x in FIRST]
    one = make().fit(TEXTS, sets)
    assert one.classes_.tolist() == ["even", "low"]
    said = one.predict(TEXTS)
    assert np.array_equal(said, one.predict_proba(TEXTS) >= 0.5)
    marks = np.array([[name in own for name in one.classes_] for own in sets]).astype(int)
    assert one.score(TEXTS, sets) == one.score(TEXTS, marks) == (said == marks).all(1).mean()
    again = make().fit(TEXTS, pd.DataFrame(marks, columns=["even", "low"]))
    assert again.classes_.tolist() == ["even", "low"]
    assert np.array_equal(again.predict_proba(TEXTS), one.predict_proba(TEXTS))
    one.save(tmp_path / "kept")
    assert np.array_equal(TextClassifier.load(tmp_path / "kept").predict(TEXTS), said)
    assert stablefit.load(tmp_path / "kept").bundle.labels == ("even", "low")


def test_numbers_are_in_the_unit_they_were_given_in(make, tmp_path):
    y = 1000 + 10.0 * FIRST
    one = make(TextRegressor, max_steps=40).fit(TEXTS, y)
    assert one.predict(TEXTS).dtype == np.float64
    assert one.score(TEXTS, y) > 0.5
    assert abs(one.predict(TEXTS).mean() - y.mean()) < y.std()
    one.save(tmp_path / "kept")
    assert np.array_equal(TextRegressor.load(tmp_path / "kept").predict(TEXTS), one.predict(TEXTS))


@pytest.mark.slow
def test_cross_validation(make):
    piped = Pipeline([("nothing", "passthrough"), ("model", make())])
    scores = cross_val_score(piped, TEXTS, LABELS, cv=StratifiedKFold(2), error_score="raise")
    assert scores.shape == (2,)
    assert ((scores >= 0) & (scores <= 1)).all()


DOCUMENTS = [f"w{i} w{12 + i}  w20 w{(i + 3) % 6} w30" for i in range(6)] * 3
ENTITIES = [
    [
        {"start": 0, "end": 2, "label": "LOC" if i % 6 < 3 else "PER"},
        {"start": 12, "end": 14, "label": "PER" if i % 6 < 3 else "LOC", "text": f"w{(i + 3) % 6}"},
    ]
    for i in range(18)
]


def test_a_tagger(make, tmp_path):
    one = make(Tagger, max_steps=60, seeds=2).fit(DOCUMENTS, ENTITIES)
    assert one.entity_types_ == ("LOC", "PER")
    found = one.predict(DOCUMENTS)
    assert one.score(DOCUMENTS, ENTITIES) > 0.8
    entity = next(e for entities in found for e in entities)
    assert set(entity) == {"start", "end", "label", "text", "probability", "agreement"}
    assert one.score(DOCUMENTS, found) == 1.0
    assert one.predict(["", "w0"])[0] == []
    one.save(tmp_path / "kept")
    assert Tagger.load(tmp_path / "kept").predict(DOCUMENTS) == found
    assert pickle.loads(pickle.dumps(one)).predict(DOCUMENTS) == found


@pytest.mark.slow
def test_a_tagger_of_characters_without_crf_in_cross_validation(make):
    one = make(Tagger, unit="character", crf=False, max_steps=2)
    assert cross_val_score(one, DOCUMENTS, ENTITIES, cv=KFold(2), error_score="raise").shape == (2,)


def test_before_a_fit(make, tmp_path):
    for kind in (TextClassifier, TextRegressor, Tagger):
        with pytest.raises(NotFittedError):
            make(kind).predict(TEXTS)
        with pytest.raises(NotFittedError):
            make(kind).save(tmp_path / "kept")


WRONG = [
    ({}, "one text", LABELS, "X is a str"),
    ({}, ["a", 5], ["x", "y"], r"X\[1\] is of type int; expected a text, or a pair"),
    ({}, [("a", "b"), "c"], ["x", "y"], r"X\[1\] has 1 texts; expected a pair of texts as in X\[0\]"),
    ({}, [("a", "b", "c")], ["x"], r"X\[0\] has 3 texts; expected one text, or a pair"),
    ({}, [("a", 3)], ["x"], r"X\[0\] holds '3' of type int; expected a string"),
    ({}, ["a", " "], ["x", "y"], r"X\[1\] is an empty text"),
    ({}, ["a", "b\0"], ["x", "y"], r"X\[1\] holds a NUL"),
    ({}, ["a", "\ud800"], ["x", "y"], r"X\[1\] holds half of a character"),
    ({}, np.zeros((2, 2, 2)), ["x", "y"], "X is an array of 3 dimensions"),
    ({}, 5, ["x"], "X is of type int; expected a sequence"),
    ({}, [], [], "y has fewer than two classes"),
    ({}, TEXTS, LABELS[:-1], "X has 24 texts and y has 23 labels"),
    ({}, TEXTS, ["x"] * 24, "y has fewer than two classes .only 'x'."),
    ({}, TEXTS, [0.5] * 24, r"y\[0\] is 0.5, which is no class; TextRegressor learns numbers"),
    ({}, TEXTS, [1, "1"] * 12, "y has several labels that are written '1'"),
    ({}, TEXTS, ["a", "b\n"] * 12, "which does not print"),
    ({}, TEXTS, [{"a"}, "b"] * 12, r"y\[1\] is one label where others are several"),
    ({}, TEXTS, [[0, 1]] * 24, "y is a list of lists of 0 and 1"),
    ({}, TEXTS, np.array([[0, 2]] * 24), r"y\[0\] is '\[0, 2\]'; expected 0 or 1 in each column"),
    ({"seeds": 0}, TEXTS, LABELS, "seeds is 0; it must be a whole number from 1 up"),
    ({"random_state": "a"}, TEXTS, LABELS, "random_state is 'a'"),
    ({"keep": "single"}, TEXTS, LABELS, "keep='single' is not known"),
    ({"max_steps": 0}, TEXTS, LABELS, "max_steps=0"),
    ({"learning_rate": "a"}, TEXTS, LABELS, "config field learning_rate is 'a'"),
    ({"learning_rate": 1e30}, TEXTS, LABELS, "training diverged with learning_rate"),
    ({"fields": {"max_steps": 5}}, TEXTS, LABELS, "fields has max_steps=5; give it as the argument"),
    ({"fields": {"folds": 5}}, TEXTS, LABELS, "fields has folds=5, which is not for a fit to choose"),
    ({"fields": {"patience": 5}}, TEXTS, LABELS, "fields has patience=5, which is not for a fit to choose"),
    ({"fields": {"cofnig": 5}}, TEXTS, LABELS, "config field cofnig is unknown"),
    ({"fields": {"epochs": 1.0}}, TEXTS, LABELS, "max_steps=12 and epochs=1.0 exclude each other"),
    ({"fields": 5}, TEXTS, LABELS, "fields is of type int"),
    ({"model": "/nowhere"}, TEXTS, LABELS, "model='/nowhere' does not exist"),
    ({"kind": TextRegressor}, TEXTS, ["a"] * 24, r"y\[0\] is 'a'; expected a finite number"),
    ({"kind": TextRegressor}, TEXTS, [np.nan] * 24, r"y\[0\] is 'nan'; expected a finite number"),
    ({"kind": Tagger}, [("a", "b")], [[]], "X has pairs of texts"),
    ({"kind": Tagger}, ["a"], ["x"], r"y\[0\] is of type str; expected a list of entities"),
    ({"kind": Tagger}, ["a"], [[3]], r"y\[0\]\[0\] is of type int; expected a mapping"),
    ({"kind": Tagger}, ["a"], [[{"start": 0}]], r"y\[0\]\[0\] has end='None'; expected int"),
    ({"kind": Tagger}, ["a"], [[{"start": 0, "end": 9, "label": "A"}]], r"X\[0\]: "),
    ({"kind": Tagger}, ["a"], [[]], "the training data: no entities in it"),
    ({"kind": Tagger, "unit": "piece"}, ["a"], [[]], "unit='piece' is not known"),
]


@pytest.mark.parametrize(("arguments", "x", "y", "said"), WRONG)
def test_what_wrong_input_gets(make, model, arguments, x, y, said):
    one = make(**{"kind": TextClassifier, **arguments}) if "model" not in arguments else TextClassifier(**arguments)
    with pytest.raises(InputError, match=said) as caught:
        one.fit(x, y)
    assert "\n" not in str(caught.value)
    assert not hasattr(one, "model_")


def test_a_fit_in_another_thread(make):
    found = []
    thread = threading.Thread(target=lambda: found.append(make(max_steps=2).fit(TEXTS, LABELS)))
    thread.start()
    thread.join()
    assert len(found) == 1


def test_an_interrupt_is_pythons_own(make, monkeypatch):
    def interrupt(*_):
        raise Interrupted(signal.SIGINT)

    monkeypatch.setattr(loop, "run", interrupt)
    with pytest.raises(KeyboardInterrupt):
        make().fit(TEXTS, LABELS)


def test_steps_by_epochs_and_length_by_the_texts(make):
    fields = {"batch_size": 8, "epochs": 2.0}
    one = make(max_steps=None, max_length=None, fields=fields).fit(TEXTS, LABELS)
    assert one.model_.bundle.settings["max_steps"] == 0
    assert one.model_.bundle.max_length == 32


def test_the_guide_runs(model, tmp_path, monkeypatch):
    """The code of docs/python.md, on the tiny model and with few steps."""
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(), re.S)
    assert len(blocks) >= 4
    names: dict = {}
    for block in blocks:
        quick = re.sub(r"(TextClassifier|TextRegressor|Tagger)\(", rf"\1(model={model!r}, max_steps=2, ", block)
        exec(compile(quick, "docs/python.md", "exec"), names)
