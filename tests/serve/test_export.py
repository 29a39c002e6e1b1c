"""Hugging Face directories of trained models: what is in them, that they give the same answers, and what is refused."""

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from stablefit.commands import export as command
from stablefit.data.tags import tagging
from stablefit.errors import InputError
from stablefit.models import crf, hf
from stablefit.serve import card, crf_decoder, export, model
from tests.serve import making

ROOT = Path(__file__).parents[2]
KINDS = ("classification", "multilabel", "regression", "tagging")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pooling", ["mean", "cls", "pooler"])
def test_an_exported_directory_gives_the_models_outputs(tmp_path, tiny_root, kind, pooling):
    if kind == "tagging" and pooling != "mean":
        pytest.skip("a tagger does not pool")
    source = making.write_fit(tmp_path / "fit", making.bundle(tiny_root / "model", kind, pooling=pooling))
    export.export(source, tmp_path / "out")
    ours, again = model.load(source), model.load(tmp_path / "out")
    texts = ["w1", "w3 w4 w5 w9 w11", "w2 w2 w7 w8 w30 w31 w32", ""]
    if kind == "tagging":
        assert [[e[:4] for e in one] for one in again.tag(texts)] == [[e[:4] for e in one] for one in ours.tag(texts)]
    else:
        np.testing.assert_allclose(again.outputs(texts), ours.outputs(texts), atol=1e-5, rtol=0)
        if kind != "regression":
            assert again.predict(texts) == ours.predict(texts)
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["num_hidden_layers"] == (3 if pooling == "mean" and kind != "tagging" else 2)
    assert config["architectures"] == ["Bert" + (hf.TOKENS if kind == "tagging" else hf.SEQUENCES)]
    names = making.LABELS[kind] or ("label",)
    assert config["id2label"] == {str(i): name for i, name in enumerate(names)}
    assert config["label2id"] == {name: i for i, name in enumerate(names)}
    problems = {"multilabel": "multi_label_classification", "tagging": None, "regression": "regression"}
    assert config.get("problem_type") == problems.get(kind, "single_label_classification")


def test_the_tokenizer_has_no_lengths_of_its_own(tmp_path, tiny_root):
    of = making.bundle(tiny_root / "model")
    folder = of.write(tmp_path / "cutting").folder
    shutil.copy(tiny_root / "model" / "model.safetensors", folder)
    stored = json.loads((folder / "tokenizer.json").read_text())
    stored["truncation"] = {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}
    (folder / "tokenizer.json").write_text(json.dumps(stored))
    source = making.write_fit(tmp_path / "fit", making.bundle(folder))
    export.export(source, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "tokenizer.json").read_text())["truncation"] is None
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer.model_max_length == 16
    assert len(tokenizer("w1 w2 w3 w4 w5 w6")["input_ids"]) == 8
    # "[SEP]" in a text is text, as in training.
    assert tokenizer("w1 [SEP] w2")["input_ids"].count(tokenizer.sep_token_id) == 1


def test_it_is_read_without_transformers(tmp_path, tiny_root):
    source = making.write_fit(tmp_path / "fit", making.bundle(tiny_root / "model"))
    export.export(source, tmp_path / "out")
    code = (
        "import sys, stablefit\n"
        "found = stablefit.load(sys.argv[1])\n"
        "print(found.encode(['w1 w2 [SEP] ' + 40 * 'w3 ']).lengths[0], 'transformers' in sys.modules)"
    )
    line = [sys.executable, "-c", code, str(tmp_path / "out")]
    found = subprocess.run(line, capture_output=True, text=True, check=True, cwd=ROOT).stdout.split()
    assert found == ["16", "False"]


@pytest.mark.parametrize("pieces", ["word", "text"])
@pytest.mark.parametrize("with_crf", [True, False])
def test_taggers(tmp_path, tiny_root, pieces, with_crf):
    of = making.bundle(tiny_root / "model", "tagging", pieces=pieces, crf=with_crf)
    source = making.write_fit(tmp_path / "fit", of)
    export.export(source, tmp_path / "out")
    names = {file.name for file in (tmp_path / "out").iterdir()}
    assert (model.CRF in names, export.DECODER in names) == (with_crf, with_crf)
    assert (model.REST in names) == (pieces == "text")
    ours, again = model.load(source), model.load(tmp_path / "out")
    texts = ["w1 w2, w3w4 w5", "w6"]
    for a, b in zip(again.emissions(again.documents(texts)), ours.emissions(ours.documents(texts)), strict=True):
        np.testing.assert_array_equal(a, b)
    assert again.tag(texts) == ours.tag(texts)


def test_the_numpy_decoder_finds_our_best_tags(tmp_path, tiny_root):
    of = making.bundle(tiny_root / "model", "tagging")
    export.export(making.write_fit(tmp_path / "fit", of), tmp_path / "out")
    decoder = crf_decoder.Decoder(tmp_path / "out" / model.CRF)
    [scores] = model.load(tmp_path / "out").transitions()
    allowed = tagging.allowed_transitions(of.labels, "iob2")
    random = np.random.default_rng(0)
    for n in (1, 2, 7, 40):
        emissions = random.normal(0, 2, (n, 5)).astype(np.float32)
        tags, _ = crf.viterbi(scores, emissions[None], np.ones((1, n), bool), allowed)
        names = [of.labels[tag] for tag in np.asarray(tags)[0]]
        assert decoder(emissions) == names
        assert crf_decoder.entities(names) == [tuple(span) for span in tagging.strict_spans(names, "iob2")]
    assert decoder(np.zeros((0, 5))) == []
    with pytest.raises(ValueError, match="expected"):
        decoder(np.zeros((3, 4)))


def test_the_decoder_is_a_file_of_its_own(tmp_path, tiny_root):
    export.export(making.write_fit(tmp_path / "fit", making.bundle(tiny_root / "model", "tagging")), tmp_path / "out")
    code = (
        "import sys, numpy\nfrom crf_decoder import Decoder\n"
        "print(len(Decoder('crf.json')(numpy.zeros((4, 5)))), 'jax' in sys.modules, 'stablefit' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "out", capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["4", "False", "False"]


def test_members_get_a_directory_each(tmp_path, tiny_root, capsys):
    source = making.write_fit(tmp_path / "fit", making.bundle(tiny_root / "model"), members=2)
    assert command.main([str(source), str(tmp_path / "out")]) == 0
    assert "2 directories" in capsys.readouterr().out
    ours = model.load(source).outputs(["w1 w2"])
    np.testing.assert_allclose(model.load(tmp_path / "out").outputs(["w1 w2"]), ours, atol=1e-5)
    assert command.main([str(source), str(tmp_path / "one"), "--member=1"]) == 0
    np.testing.assert_allclose(model.load(tmp_path / "one").outputs(["w1 w2"])[0], ours[1], atol=1e-5)
    export.export(tmp_path / "one", tmp_path / "again")  # an exported directory can be exported
    np.testing.assert_allclose(model.load(tmp_path / "again").outputs(["w1 w2"])[0], ours[1], atol=1e-5)


def test_members_that_began_as_one_become_their_average(tmp_path, tiny_root, capsys):
    source = making.write_fit(
        tmp_path / "fit", making.bundle(tiny_root / "model", settings={"head_start": "probe"}), members=2
    )
    assert command.main([str(source), str(tmp_path / "out")]) == 0
    assert "the average of the weights of 2 members" in capsys.readouterr().out
    members = model.load(source).members
    mean = [np.mean([np.asarray(one["head"][name]) for one in members], axis=0) for name in ("kernel", "bias")]
    whole = model.load(source)
    averaged = jax.tree.map(lambda *xs: np.mean(xs, axis=0), *members)
    np.testing.assert_allclose(averaged["head"]["kernel"], mean[0], atol=1e-6)
    ours = dataclasses.replace(whole, members=(averaged,)).outputs(["w1 w2", "w3"])
    np.testing.assert_allclose(model.load(tmp_path / "out").outputs(["w1 w2", "w3"]), ours, atol=1e-5)
    assert command.main([str(source), str(tmp_path / "each"), "--member=all"]) == 0
    assert len(model.load(tmp_path / "each").members) == 2
    other = making.write_fit(tmp_path / "other", making.bundle(tiny_root / "model"), members=2)
    assert command.main([str(other), str(tmp_path / "no"), "--member=average"]) == 2
    assert "began with different heads" in capsys.readouterr().err


def test_what_does_not_give_the_same_answers_is_removed(tmp_path, tiny_root, monkeypatch):
    source = making.write_fit(tmp_path / "fit", making.bundle(tiny_root / "model"))
    monkeypatch.setattr(export.hf_export, "LAMBDA", 1.0)
    with pytest.raises(InputError, match="does not give the model's answers"):
        export.export(source, tmp_path / "out")
    assert [file.name for file in tmp_path.iterdir()] == ["fit"]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["{fit}", "{fit}"], "is not empty"),
        (["{fit}", "{root}/fit/model/bundle/bundle.json"], "is there already"),
        (["{fit}", "{root}/x", "--member=4"], "has 1 members"),
        (["{fit}", "{root}/x", "--member=a"], "invalid number of a member"),
        (["{fit}", "{root}/x", "--onx"], "unrecognized"),
        (["{fit}"], "required"),
        (["{root}/none", "{root}/x"], "is not a folder"),
        (["{root}", "{root}/x"], "holds no model"),
    ],
)
def test_refusals(tmp_path, tiny_root, capsys, argv, said):
    fit = making.write_fit(tmp_path / "fit", making.bundle(tiny_root / "model"))
    before = sorted(tmp_path.rglob("*"))
    assert command.main([one.format(fit=fit, root=tmp_path) for one in argv]) == 2
    found = capsys.readouterr()
    assert said in found.err
    assert found.err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_the_card_names_no_place_and_no_text(tmp_path, tiny_root):
    of = making.bundle(tiny_root / "model")
    rows = [{"seed": i, "test_best": {"accuracy": 0.5 + i / 10}, "failed": i == 0, "diverged": False} for i in range(3)]
    run = making.write_run(tmp_path / "run", of, rows)
    (run / "data.json").write_text(json.dumps({"digest": "0", "examples": {"train": 400, "test": 100}}))
    assert command.main([str(run), str(tmp_path / "out")]) == 0
    written = tmp_path / "out" / "member_2"
    text = (written / "README.md").read_text()
    for said in ("400 train", "0.600", "1 failed", "pipeline_tag: text-classification", "`tiny-encoder`", "float16"):
        assert said in text, said
    for file in ("README.md", "stablefit.json", "config.json"):
        assert "private" not in (written / file).read_text(), file


def test_the_card_of_one_model_of_numbers_speaks_of_no_members(tiny_root):
    facts = card.Facts(
        metric="r2", seeds=(card.SeedScore(0, 0.5),), score=(0.5, 0.4, 0.6), how="rows", baselines={"mean": -0.0001}
    )
    text = card.card(making.bundle(tiny_root / "model", "regression"), facts)
    assert "In all: 0.500 (95 % interval over rows: 0.400 to 0.600)." in text
    assert "Baselines on the same rows: mean 0.000." in text
    assert "All members" not in text
    assert "Its numbers are estimates; decisions about people need a person." in text
    assert "robabilit" not in text
