"""A small model of each family through what a run does: one table, tests/models/family_cases.py."""

import json
import shutil

import numpy as np
import pytest
from safetensors import safe_open
from tokenizers import Tokenizer, processors

from stablefit.errors import InputError
from stablefit.models import hf
from stablefit.models.families import family_of, read_config
from stablefit.serve import export, model
from stablefit.training import bundle, job, loop, plan, progress, rundir, settings
from tests import tiny
from tests.models import family_cases

NAMES = ["roberta", "deberta", "deberta, v2", "electra", "distilbert", "mpnet", "albert", "modernbert"]
NAMES += ["deberta-v1", "xlnet", "bart"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A root with the tiny tasks, and a folder of each family's model."""
    root = tmp_path_factory.mktemp("families")
    tiny.write_rte(root)
    tiny.write_tagging(root / "own", train=10, test=4)
    for name in NAMES:
        config = read_config(family_cases.for_the_tiny_vocabulary(name))
        tiny.write_model(root / "models" / name, config=config)
    behind(root / "models" / "xlnet")
    return root


def behind(folder):
    """A tokenizer as XLNet's: both special tokens stand behind the text, the last of a type of its own."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A [SEP] [CLS]:2",
        pair="$A [SEP] $B:1 [SEP]:1 [CLS]:2",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    tokenizer.save(str(folder / "tokenizer.json"))


def settings_of(place, name, **changes):
    values = {"model": str(place / "models" / name), "max_length": 16, "max_steps": 3, "seeds": (0, 1)}
    return settings.read(tiny.config(place, **values | {"evaluations": 1, "dropout": 0.1} | changes))


def run(the_job, path):
    with rundir.RunDirectory(path, the_job.settings) as directory:
        bundle.ensure(path, the_job)
        return loop.run(the_job, directory, progress.Progress(0, quiet=True))


@pytest.mark.parametrize("name", family_cases.fast(NAMES, "roberta", "deberta, v2"))
def test_a_cohort_on_the_pieces_that_occur_is_exported_and_answers_alike(place, name, tmp_path):
    family = family_of(read_config(family_cases.CASES[name]))
    the_job = job.load(settings_of(place, name, task="rte", cohort_size=2, head_start="normal"))
    assert the_job.words is not None
    assert len(the_job.words.pieces) < len(tiny.VOCABULARY)
    rows = run(the_job, tmp_path / "run")
    assert [row["seed"] for row in rows] == [0, 1]
    assert not any(row["diverged"] for row in rows)
    ours = model.load(tmp_path / "run" / "seed_1")
    export.export(tmp_path / "run" / "seed_1", tmp_path / "given")  # compares the answers itself
    stem = next(iter(family.classes.values()))
    stored = json.loads((tmp_path / "given" / "config.json").read_text())
    assert stored["architectures"] == [f"{stem}ForSequenceClassification"]
    with safe_open(tmp_path / "given" / "model.safetensors", "numpy") as file:
        assert f"{family.classifier}.weight" in file.keys()  # noqa: SIM118 -- not a dict
    names = json.loads((tmp_path / "given" / "tokenizer_config.json").read_text()).get("model_input_names", ())
    assert ("token_type_ids" in names) == (the_job.encoder.type_vocab_size > 1)
    texts = ["w1 w2 w3", "w9", "w4 w30 w30 w2"], ["w5", "w9 w8", "w1"]
    found = [one.outputs(*texts) for one in (ours, model.load(tmp_path / "given"))]
    np.testing.assert_allclose(*found, rtol=0, atol=1e-6)


TAGGERS = ["roberta", "deberta, v2", "albert", "modernbert", "xlnet"]


@pytest.mark.parametrize("name", family_cases.fast(TAGGERS, "albert"))
def test_a_tagger_with_a_crf_in_folds(place, name, tmp_path):
    own = {"task": "tagging", "data_dir": str(place / "own"), "folds": 2, "batch_size": 4, "crf": True}
    the_job = job.load(settings_of(place, name, **own))
    rows = run(the_job, tmp_path / "run")
    assert [row["fold"] for row in rows] == [0, 1]
    assert not any(row["diverged"] for row in rows)
    family = family_of(the_job.encoder)
    assert ("pooler" in the_job.network.shapes["encoder"]) == family.encoder.tags_pooled
    export.export(tmp_path / "run" / "seed_0", tmp_path / "given")
    text = ["w0 w6 w30 w3 w9"]
    assert model.load(tmp_path / "given").tag(text) == model.load(tmp_path / "run" / "seed_0").tag(text)


def test_depth_has_no_meaning_where_blocks_are_shared(place):
    for changes in ({"reinit_layers": 1}, {"layer_decay": 0.9}, {"reinit_blocks": (0,)}):
        with pytest.raises(InputError, match=f"config field {next(iter(changes))} cannot be used .*share one block"):
            job.load(settings_of(place, "albert", task="rte", **changes))
    assert job.load(settings_of(place, "albert", task="rte", reinit_pooler=True)).network.shapes


def test_an_unused_pooler_is_said_to_start_anew_anyway(place):
    plain = plan.announcement(job.load(settings_of(place, "roberta", task="rte")))
    assert "(the dense layer of RoBERTa's classifier starts anew: no pre-trained weights have it)" in plain
    asked = plan.announcement(job.load(settings_of(place, "roberta", task="rte", reinit_pooler=True)))
    assert "no pre-trained weights have it, with reinit_pooler or without)" in asked
    assert "pieces   WordPiece, lower-cased" in asked


def test_what_reads_the_last_token_says_so(place):
    said = plan.announcement(job.load(settings_of(place, "xlnet", task="rte", pooling="cls")))
    assert "each text at its last token\n" in said


def test_a_pair_needs_a_second_token_type(place, tmp_path):
    config = read_config(family_cases.CASES["bert"] | {"vocab_size": len(tiny.VOCABULARY)})
    tiny.write_model(tmp_path / "one", config=config)
    stored = json.loads((tmp_path / "one" / "config.json").read_text())
    (tmp_path / "one" / "config.json").write_text(json.dumps(stored | {"type_vocab_size": 1}))
    changes = {"task": "rte", "model": str(tmp_path / "one")}
    with pytest.raises(InputError, match="type_vocab_size=1, but the tokenizer marks the second text"):
        job.load(settings_of(place, "roberta", **changes))


def test_what_bart_cannot_do_is_said_before_the_run(place, tmp_path):
    own = {"task": "tagging", "data_dir": str(place / "own")}
    with pytest.raises(InputError, match="bart cannot be trained to tag: transformers has no token classifier"):
        job.load(settings_of(place, "bart", **own))
    with pytest.raises(InputError, match=r"cannot export .*: transformers has no token classifier of BART"):
        hf.save_encoder(tmp_path, {"encoder": {}}, family_cases.CASES["bart"], hf.TOKENS)
    shutil.copytree(place / "models" / "bart", tmp_path / "bart")
    behind(tmp_path / "bart")
    with pytest.raises(InputError, match="eos_token_id=3, but the tokenizer does not end every text with that token"):
        job.load(settings_of(place, "bart", task="rte", model=str(tmp_path / "bart")))


def test_lengths_are_those_of_positions_that_examples_can_have(place):
    """RoBERTa's table has rows that no token of an example gets."""
    with pytest.raises(InputError, match=r"max_length is 40; .* has 39 positions"):
        job.load(settings_of(place, "roberta", task="rte", max_length=40))
