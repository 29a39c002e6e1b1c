"""What a loaded model answers: beside the plain network, one text at a time, and from every kind of folder."""

import dataclasses
import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import special

from stablefit.data import encoding
from stablefit.data.readers import Examples
from stablefit.errors import InputError
from stablefit.models import hf
from stablefit.serve import answers, entities, model
from tests.serve import making

ROOT = Path(__file__).parents[2]
WRITERS = (making.write_old_fit, making.write_fit)
TEXTS = ["w1", "w3 w4 w5 w9 w11", "w2 w2 w7 w8 w30 w31 w32", "", "w1 " * 40, "unknown words"]


def plainly(of, texts, second=None):
    """The outputs of the network without packing: padded rows, one example each."""
    examples = Examples(texts, second, np.zeros(len(texts), np.float32), [])
    e = encoding.encode(examples, of.tokenizer, of.bundle.max_length)
    network = dataclasses.replace(of.network, serving=False)
    return np.stack(
        [network.apply({"params": m}, e.tokens, e.types, e.segments, deterministic=True) for m in of.members]
    )


@pytest.mark.parametrize("pooling", ["mean", "cls", "pooler"])
@pytest.mark.parametrize("pair", [False, True])
def test_packed_outputs_are_those_of_the_network(tmp_path, tiny_root, pooling, pair):
    of = making.bundle(tiny_root / "model", pooling=pooling, pair=pair)
    loaded = model.load(making.write_fit(tmp_path, of, members=2))
    second = TEXTS[::-1] if pair else None
    found = loaded.outputs(TEXTS, second)
    assert found.shape == (2, len(TEXTS), 3)
    np.testing.assert_allclose(found, plainly(loaded, TEXTS, second), atol=1e-5)
    assert loaded.outputs([], [] if pair else None).shape == (2, 0, 3)


def test_answers_of_members(tiny_root):
    outputs = np.array([[[2.0, 0, 0], [0, 1, 0]], [[1, 0, 0], [0, 0, 3]], [[0, 1, 0], [0, 0, 3]]], np.float32)
    found = answers.answers(making.bundle(tiny_root), outputs)
    np.testing.assert_allclose(found.probabilities, special.softmax(outputs, 2).mean(0), rtol=1e-6)
    assert found.values == ["red", "blue"]
    np.testing.assert_allclose(found.agreement, [2 / 3, 2 / 3])
    cut = making.bundle(tiny_root, "multilabel", thresholds=(0.8, 0.5, 0.3))
    found = answers.answers(cut, outputs[:1])
    assert found.values == [("red", "green", "blue"), ("green", "blue")]
    assert found.agreement is None
    numbers = answers.answers(making.bundle(tiny_root, "regression"), outputs[:, :, :1])
    np.testing.assert_allclose(numbers.values, [1, 0])
    np.testing.assert_allclose(numbers.spread, [1, 0])


def test_entities_have_places_and_exact_probabilities(tmp_path, tiny_root):
    """Against a sum over all paths, written out."""
    of = making.bundle(tiny_root / "model", "tagging")
    loaded = model.load(making.write_fit(tmp_path, of))
    text = "  w1, w2w3 w4"
    [found] = loaded.tag([text])
    documents = loaded.documents([text])
    [emissions] = loaded.emissions(documents)
    [scores] = loaded.transitions()
    n, k = emissions.shape[1:]
    paths = np.array(list(itertools.product(range(k), repeat=n)))
    totals = scores["start"][paths[:, 0]] + scores["end"][paths[:, -1]]
    totals = totals + sum(emissions[0, t][paths[:, t]] for t in range(n))
    totals = totals + sum(scores["transitions"][paths[:, t], paths[:, t + 1]] for t in range(n - 1))
    chance = special.softmax(totals.astype(np.float64))
    assert found
    for one in found:
        assert text[one.start : one.end] == one.text
        words = [i for i, (a, b) in enumerate(documents.bounds[0].tolist()) if a >= one.start and b <= one.end]
        begin, inside = of.labels.index(f"B-{one.type}"), of.labels.index(f"I-{one.type}")
        here = paths[:, words[0]] == begin
        for word in words[1:]:
            here &= paths[:, word] == inside
        if words[-1] + 1 < n:
            here &= paths[:, words[-1] + 1] != inside
        assert one.probability == pytest.approx(float(chance[here].sum()), abs=1e-5)
        assert one.agreement is None


def test_without_a_crf_an_entity_is_a_product_of_softmaxes(tmp_path, tiny_root):
    of = making.bundle(tiny_root / "model", "tagging", crf=False)
    loaded = model.load(making.write_fit(tmp_path, of))
    [emissions] = loaded.emissions(loaded.documents(["w1 w2 w3"]))
    chance = special.softmax(emissions[0].astype(np.float64), axis=1)
    for span, probability, _ in entities.documents(loaded.transitions(), [emissions], of.labels)[0]:
        begin, inside = of.labels.index(f"B-{span.type}"), of.labels.index(f"I-{span.type}")
        expected = chance[span.start, begin] * chance[span.start + 1 : span.end, inside].prod()
        if span.end < 3:
            expected *= 1 - chance[span.end, inside]
        assert probability == pytest.approx(expected, abs=1e-5)


def test_long_documents_and_empty_ones(tmp_path, tiny_root):
    of = making.bundle(tiny_root / "model", "tagging", pieces="text")
    loaded = model.load(making.write_fit(tmp_path, of, members=2))
    texts = ["w1 w2 " * 60, "", "  ", "w3"]
    found = loaded.tag(texts)
    assert [bool(one) for one in found[1:3]] == [False, False]
    assert found[3] == loaded.tag(["w3"])[0]
    last = max(entity.end for entity in found[0])
    assert last > 300  # windows go to the end
    assert all(0 <= entity.agreement <= 1 and 0 <= entity.probability <= 1 for entity in found[0])
    assert loaded.tag([]) == []
    assert loaded.tag([""]) == [[]]


def test_folders(tmp_path, tiny_root):
    of = making.bundle(tiny_root / "model")
    rows = [{"seed": 0, "diverged": False, "failed": True}, {"seed": 2, "diverged": True, "failed": True}]
    run = making.write_run(tmp_path / "run", of, rows)
    found = model.load(run)
    assert len(found.members) == 1
    failed = "seed_0 failed: it was not above what the majority alone gives"
    assert found.said == (failed, "seed_1 did not finish: left aside", "seed_2 diverged: left aside")
    assert model.load(run / "seed_0").said == (failed,)
    with pytest.raises(InputError, match="diverged: its answers mean nothing"):
        model.load(run / "seed_2")
    np.testing.assert_array_equal(found.outputs(["w1"]), model.load(run / "seed_0").outputs(["w1"]))
    fit = making.write_fit(tmp_path / "fit", of, members=2)
    np.testing.assert_array_equal(model.load(fit).outputs(["w1"]), model.load(fit / "model").outputs(["w1"]))


def test_a_fit_of_before_gives_the_same_answers(tmp_path, tiny_root):
    """Members of orbax and the tokenizer of transformers, beside what is written now; ten members keep their order."""
    for kind in ("classification", "tagging"):
        of = making.bundle(tiny_root / "model", kind)
        members = 11 if kind == "classification" else 1
        old, new = (write(tmp_path / f"{kind}{i}", of, members) for i, write in enumerate(WRITERS))
        assert not list(old.rglob("*.safetensors"))
        assert {file.name for file in (new / "model" / "members").iterdir()} == {
            f"{i}.safetensors" for i in range(members)
        }
        before, now = model.load(old), model.load(new)
        for i, (a, b) in enumerate(zip(before.members, now.members, strict=True)):
            own = making.parameters(of, i)["head"]["bias"]
            np.testing.assert_array_equal([a["head"]["bias"], b["head"]["bias"]], [own, own])
        assert type(before.tokenizer) is not type(now.tokenizer)
        if kind == "tagging":
            assert now.tag(TEXTS) == before.tag(TEXTS)
        else:
            np.testing.assert_array_equal(now.outputs(TEXTS), before.outputs(TEXTS))


def test_a_model_of_a_fit_loads_and_answers_without_transformers_and_orbax(tmp_path, tiny_root):
    made = making.write_fit(tmp_path / "fit", making.bundle(tiny_root / "model"))
    code = (
        "import sys, stablefit; stablefit.load(sys.argv[1]).predict(['w1'])\n"
        "print([name for name in ('transformers', 'orbax', 'torch') if name in sys.modules])"
    )
    line = [sys.executable, "-c", code, str(made)]
    assert subprocess.run(line, capture_output=True, text=True, check=True, cwd=ROOT).stdout.strip() == "[]"
    assert (made / "model" / "members" / "0.safetensors").stat().st_mode & 0o777 == (
        made / "model" / "facts.json"
    ).stat().st_mode & 0o777


@pytest.mark.parametrize("content", [b"", b"no tensors", None])
def test_damaged_members_are_named(tmp_path, tiny_root, content):
    made = making.write_fit(tmp_path / "fit", making.bundle(tiny_root / "model"))
    file = made / "model" / "members" / "0.safetensors"
    if content is None:  # of something else
        hf.save_tree(file, {"head": {"bias": np.zeros(2, np.float32)}})
    else:
        file.write_bytes(content)
    with pytest.raises(InputError, match=r"0\.safetensors"):
        model.load(made)


def test_refusals(tmp_path, tiny_root):
    loaded = model.load(making.write_fit(tmp_path / "fit", making.bundle(tiny_root / "model")))
    tagger = model.load(making.write_fit(tmp_path / "tagger", making.bundle(tiny_root / "model", "tagging")))
    paired = model.load(making.write_fit(tmp_path / "pair", making.bundle(tiny_root / "model", pair=True)))
    run = making.write_run(tmp_path / "run", making.bundle(tiny_root / "model"), [])
    (tmp_path / "empty").mkdir()
    for call, said in (
        (lambda: loaded.predict("one string"), "give a list"),
        (lambda: loaded.predict(["a"], ["b"]), "not pairs"),
        (lambda: loaded.predict([None]), "text 0 is of type NoneType"),
        (lambda: loaded.tag(["a"]), "finds no entities"),
        (lambda: tagger.outputs(["a"]), "call tag"),
        (lambda: tagger.predict_proba(["a"]), "no probabilities"),
        (lambda: paired.predict(["a"]), "second texts"),
        (lambda: paired.predict(["a"], []), "as many of both"),
        (lambda: model.load(tmp_path / "none"), "is not a folder"),
        (lambda: model.load(tmp_path / "empty"), "holds no model"),
        (lambda: model.load(run), "no finished seed"),
    ):
        with pytest.raises(InputError, match=said):
            call()
