"""Tagging from files to rows: what is learnt, what is scored, folds, and what an intermediate task leaves."""

import itertools
import json

import jax
import numpy as np
import pytest

from stablefit import methods
from stablefit.data.tags import tagging
from stablefit.errors import InputError
from stablefit.objectives import entity_metrics
from stablefit.serve import entities
from stablefit.study import grid, reading, report
from stablefit.training import inputs, job, loop, plan, progress, rundir, settings
from stablefit.training.recipe import make_optimizer
from tests import tiny

F1 = "entity_f1_strict"


@pytest.fixture(scope="module")
def place(one_block_root, tmp_path_factory):
    """The folder of the tiny model, of one tagging task, and of another with the same labels."""
    root = tmp_path_factory.mktemp("tagging")
    (root / "model").symlink_to(one_block_root / "model")
    tiny.write_tagging(root / "own")
    tiny.write_tagging(root / "other", train=20)
    return root


@pytest.fixture(scope="module")
def prepare(place):
    def make(**changes):
        own = {"task": "tagging", "data_dir": str(place / "own"), "epochs": 4.0, "batch_size": 4, "dropout": 0.0}
        return job.load(settings.read(tiny.config(place, **own | changes)))

    return make


def run(the_job, path):
    with rundir.RunDirectory(path, the_job.settings) as directory:
        return loop.run(the_job, directory, progress.Progress(0, quiet=True))


@pytest.fixture(scope="module")
def whole(prepare, tmp_path_factory):
    """A run that learns the rule, with windows of ten words, and its rows."""
    path = tmp_path_factory.mktemp("whole") / "run"
    return path, run(prepare(epochs=20.0, max_length=8, lr_multipliers="crf/.*=10"), path)


def test_it_learns_and_its_row_is_that_of_its_predictions(whole, prepare):
    path, [row] = whole
    assert row["test_best"][F1] > 0.8
    assert row["majority"] == 0.0
    assert not row["failed"]
    stored = np.load(path / "seed_0" / "predictions.npz")
    assert stored["labels"].tolist() == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    documents = prepare(max_length=8).data["test"].documents
    names = [stored["labels"][stored[split]].tolist() for split in ("test_labels", "test_best")]
    ends = np.cumsum([0, *map(len, documents.words)])
    gold, said = ([one[a:b] for a, b in itertools.pairwise(ends)] for one in names)
    scores = entity_metrics.score_tags(gold, said, "strict")
    assert row["test_best"][F1] == pytest.approx(scores.micro.f1)
    assert row["test_best"]["entity_recall_strict_LOC"] == pytest.approx(scores.per_type["LOC"].recall)
    assert scores.micro.gold == sum(map(len, documents.entities))
    assert [tagging.first_fault(tags, "iob2") for tags in said] == [None] * len(said)


def test_decoding_bars_what_iob2_does_not_allow(prepare):
    """Emissions that ask for I- everywhere, in windows: each document gets one well-formed path."""
    the_job = prepare(max_length=8, crf=False)
    data = the_job.data["test"]
    assert len(data) > len(data.documents)
    outputs = np.zeros((*data.words.shape, 5), np.float32)
    outputs[..., 2] = 10.0
    scores, tags = the_job.objective.score({}, outputs, data)
    ends = np.cumsum([0, *map(len, data.documents.words)])
    for a, b in itertools.pairwise(ends):
        assert tags[a:b].tolist() == [1] + [2] * (b - a - 1)
    assert np.isfinite(scores["loss"])


def test_a_diverged_run_finds_nothing(prepare):
    the_job = prepare()
    data = the_job.data["test"]
    scores, tags = the_job.objective.score({}, np.full((*data.words.shape, 5), np.nan), data)
    assert (scores[F1], scores["diverged"], scores["loss"]) == (0.0, 1.0, np.inf)
    assert not tags.any()


def test_entities_that_cut_a_word_lower_the_recall_and_are_announced(prepare, place, tmp_path):
    text = '{"text": "w0 w9w3", "entities": [{"label": "LOC", "start": 0, "end": 2}%s]}\n'
    cut = ', {"label": "PER", "start": 5, "end": 7}'
    (tmp_path / "train.jsonl").write_text(text % "" * 10 + text % cut)
    (tmp_path / "dev.jsonl").write_text(text % "")
    (tmp_path / "test.jsonl").write_text(text % cut * 3)
    the_job = prepare(data_dir=str(tmp_path))
    assert the_job.objective.labels == ("O", "B-LOC", "I-LOC")
    data = the_job.data["test"]
    outputs = np.zeros((*data.words.shape, 3), np.float32)
    outputs[:, 0, 1] = 10.0
    scores, _ = the_job.objective.score({}, outputs, data)
    assert (scores["entity_precision_strict"], scores["entity_recall_strict"]) == (1.0, 0.5)
    assert (scores["entity_recall_strict_LOC"], scores["entity_recall_strict_PER"]) == (1.0, 0.0)
    diverged, _ = the_job.objective.score({}, np.full_like(outputs, np.nan), data)
    assert diverged.keys() == scores.keys()
    assert "1 train, 3 test entities cut a word: no tags can find them; tagging_characters can" in plan.announcement(
        the_job
    )


def test_the_announcement_says_what_is_there(prepare):
    text = plan.announcement(prepare(max_length=8, folds=4, seeds=(0, 1)))
    assert "task     tagging: 2 types of entities, with a CRF, best by entity_f1_strict" in text
    assert "found    column 1 holds the words, column 2 of 2 their tags" in text
    assert "folds    4: seed s is tested on fold s mod 4" in text
    assert "in 6 test documents (" in text
    assert "none is lost to the length limit" in text
    assert "pooler" not in text


def test_folds_follow_the_seeds(prepare, tmp_path):
    """Seeds 0 and 3 are tested on one fold, seed 1 on another; a study's table and report take the folds together."""
    rates = {"fast": 1e-2, "slow": 1e-3}  # which share programs
    jobs = {name: prepare(folds=3, seeds=(0, 1, 3), max_steps=2, learning_rate=rate) for name, rate in rates.items()}
    grid.run(jobs, tmp_path, quiet=True)
    marks = {name: one.settings.fingerprint for name, one in jobs.items()}
    rows = grid.read_rows(tmp_path, dict.fromkeys(marks.values(), (0, 1, 3)))
    assert [row["fold"] for row in rows[marks["fast"]]] == [0, 1, 0]
    labels = [
        np.load(tmp_path / "cells" / marks["fast"] / f"seed_{seed}" / "predictions.npz")["test_labels"]
        for seed in (0, 1, 3)
    ]
    np.testing.assert_array_equal(labels[0], labels[2])
    assert not np.array_equal(labels[0], labels[1])
    table = grid.study_table({name: rows[mark] for name, mark in marks.items()})
    assert "tagging test entity_f1_strict" in table
    assert reading.predictions(reading.load(tmp_path).cells[0]).shape == (2, len(labels[0]))
    [page, *_] = report.write(tmp_path, tmp_path / "report")
    text = page.read_text()
    assert "Convergence" in text
    assert "two runs of a setting differ" in text


def test_the_digest_is_of_all_folds(prepare, place, tmp_path):
    """Whichever are asked for; a word that changes its type in one document makes other data."""
    one = prepare(folds=3, seeds=(0,))
    assert one.digest.examples == {"train": 24}
    assert prepare(folds=3, seeds=(1, 2)).digest == one.of_part(1).digest == one.digest
    assert one.of_part(2).provenance["data"] == one.digest.digest
    held_out = prepare(seeds=(0,))
    assert held_out.digest.examples == {name: len(part) for name, part in held_out.data.items()}
    before, last, end = (place / "own" / "train.bio").read_text().rpartition("B-")
    other = {"LOC": "PER", "PER": "LOC"}[end[:3]]
    (tmp_path / "train.bio").write_text(before + last + end.replace(end[:3], other))
    assert prepare(folds=3, data_dir=str(tmp_path)).digest.digest != one.digest.digest


def test_a_model_to_keep_is_trained_on_all_documents(prepare, place, tmp_path):
    whole = prepare(train_on_all=True)
    assert [whole.n(name) for name in ("train", "validation", "test")] == [24, 24, 8]
    assert "held out nothing" in " ".join(plan.announcement(whole).split())
    (tmp_path / "train.bio").write_text((place / "own" / "train.bio").read_text())
    alone = prepare(train_on_all=True, data_dir=str(tmp_path), epochs=1.0)
    assert alone.data["test"].ids == alone.data["train"].ids
    (tmp_path / "dev.bio").write_text((place / "own" / "test.bio").read_text())
    inputs.forget()
    beside = prepare(train_on_all=True, data_dir=str(tmp_path), epochs=1.0)
    assert beside.digest == alone.digest
    assert "dev.bio not read" in plan.announcement(beside)
    [row] = run(beside, tmp_path / "run")
    assert np.isfinite(row["test_best"][F1])
    with pytest.raises(InputError, match="config field data_file is 'a'; task tagging has no use for it"):
        prepare(train_on_all=True, data_file="a")


def test_a_table_that_is_a_file_of_tags_is_said_to_be_one(place):
    file = str(place / "own" / "train.bio")
    with pytest.raises(InputError, match=f"{file}: holds entities .*; give --config=own_tags --config.data_dir={file}"):
        job.load(settings.read(tiny.config(place, task="texts", data_dir="", data_file=file, folds=3)))


def test_folds_without_validation_keep_what_probabilities_come_from(prepare, tmp_path):
    """No document is set aside, and the stored emissions and CRF scores give the stored tags."""
    plain, whole = prepare(folds=3, seeds=(1,)), prepare(folds=3, seeds=(1,), train_on_all=True, max_steps=3)
    assert [plain.of_part(1).n(name) for name in ("train", "test")] == [14, 8]
    fold = whole.of_part(1)
    assert [fold.n(name) for name in ("train", "test")] == [16, 8]
    assert set(fold.data["validation"].documents.ids) <= set(fold.data["train"].documents.ids)
    assert not set(fold.data["test"].documents.ids) & set(fold.data["train"].documents.ids)
    run(whole, tmp_path / "run")
    stored = np.load(tmp_path / "run" / "seed_1" / "predictions.npz")
    documents = fold.data["test"].documents
    assert stored["test_documents"].tolist() == documents.ids
    ends = np.cumsum([0, *map(len, documents.words)])
    scores = {name: stored[f"test_{name}"] for name in ("transitions", "start", "end")}
    emissions = [stored["test_emissions"][None, a:b] for a, b in itertools.pairwise(ends)]
    found = entities.documents([scores], emissions, stored["labels"].tolist())
    tags = [stored["labels"][stored["test_last"][a:b]].tolist() for a, b in itertools.pairwise(ends)]
    assert [[span for span, *_ in one] for one in found] == [tagging.strict_spans(one, "iob2") for one in tags]
    assert sum(map(len, found))
    run(plain, tmp_path / "plain")
    assert "test_emissions" not in np.load(tmp_path / "plain" / "seed_1" / "predictions.npz")


def test_an_interrupted_fold_goes_on(prepare, tmp_path):
    """A seed that is done is not done again, in whichever fold."""
    first = run(prepare(folds=3, seeds=(1,), max_steps=2), tmp_path / "run")
    rows = run(prepare(folds=3, seeds=(0, 1), max_steps=2), tmp_path / "run")
    assert rows[1] == first[0]
    assert [row["fold"] for row in rows] == [0, 1]


def test_seeds_in_one_program_tag_as_alone(prepare, tmp_path):
    """In windows and with a CRF: losses agree to rounding, step by step."""
    for size in (1, 2):
        run(prepare(seeds=(0, 1), cohort_size=size, max_length=8, max_steps=6), tmp_path / str(size))
    for seed in (0, 1):
        alone, together = (
            [line["loss"] for line in rundir.read_lines(tmp_path / size / f"seed_{seed}" / "metrics.jsonl")]
            for size in ("1", "2")
        )
        assert len(alone) > 6
        np.testing.assert_allclose(together, alone, rtol=1e-4)


def test_the_crf_is_not_decayed_and_learns_at_its_own_rate(prepare):
    the_job = prepare(weight_decay=0.1, init_decay=0.5, init_decay_everywhere=True, lr_multipliers="crf/.*=100")
    rows = {row[0]: row[1:] for row in plan.parameter_rows(the_job)}
    assert rows["crf/transitions"] == ("5x5", "2", "100", "-", "new")
    assert rows["head/kernel"] == ("8x5", "2", "1", "0.1", "new")
    params = jax.tree.map(lambda x: jax.numpy.ones(x.shape), the_job.network.shapes)
    decay = settings.read(the_job.values | {"clip_norm": float("inf")})
    optimizer = make_optimizer(decay.spec, decay.hypers, params, 10)
    still, updates = jax.tree.map(lambda x: 0 * x, params), None
    state = optimizer.init(params)
    for _ in range(2):  # the first learning rate is 0
        updates, state = optimizer.update(still, state, jax.tree.map(lambda x: 2 * x, params))
    assert not np.any(updates["crf"]["transitions"])
    assert np.all(updates["head"]["kernel"])
    assert methods.decay_mask(params)["crf"] == {"transitions": False, "start": False, "end": False}


def test_an_intermediate_task_of_the_same_labels_keeps_head_and_crf(whole, prepare, place, tmp_path):
    path, _ = whole
    the_job = prepare(data_dir=str(place / "other"), init_from=str(path / "seed_0"))
    assert set(the_job.pretrained) == {"encoder", "head", "crf"}
    assert "start    encoder, head, crf of" in plan.announcement(the_job)
    [row] = run(the_job, tmp_path / "run")
    assert row["init_from"]["kept"] == ["encoder", "head", "crf"]
    assert row["init_from"]["task"] == "tagging"
    assert row["init_from"]["fingerprint"] == json.loads((path / "results.jsonl").read_text())["fingerprint"]
    assert prepare(init_from=str(path / "seed_0"), pieces="text").start.said.endswith(
        "head new: it has none of this shape"
    )


def test_an_intermediate_task_of_other_labels_leaves_its_encoder(whole, prepare, place, tmp_path):
    path, _ = whole
    text = (place / "own" / "train.bio").read_text()
    (tmp_path / "train.bio").write_text(text.replace("LOC", "ORG"))
    the_job = prepare(data_dir=str(tmp_path), folds=2, init_from=str(path / "seed_0"))
    assert set(the_job.pretrained) == {"encoder"}
    assert "; head, crf new: its labels are others" in plan.announcement(the_job)
    best = job.load(the_job.settings).pretrained["encoder"]["layer_0"]["output"]["kernel"]
    assert not np.array_equal(best, prepare().pretrained["encoder"]["layer_0"]["output"]["kernel"])


def test_a_task_of_sentences_can_start_from_tagging_and_back(whole, prepare, place, one_block_root, tmp_path):
    """The pooler, which tagging has not, is the model's own."""
    path, _ = whole
    pair = job.load(settings.read(tiny.config(one_block_root, init_from=str(path / "seed_0"))))
    assert set(pair.network.shapes) == {"encoder", "head"}
    run(pair, tmp_path / "run")
    back = prepare(init_from=str(tmp_path / "run" / "seed_0"))
    assert set(back.network.shapes) == {"encoder", "head", "crf"}
    assert "pooler" not in back.network.shapes["encoder"]


def test_fields_of_tagging_are_refused_elsewhere(tiny_root):
    with pytest.raises(InputError, match="config field crf is False; task rte has no use for it"):
        job.load(settings.read(tiny.config(tiny_root, crf=False)))


def test_seeds_of_folds_are_not_compared_to_stop_them(tiny_root):
    with pytest.raises(InputError, match=r"stop_seeds_at=0\.5 and folds=2"):
        settings.read(tiny.config(tiny_root, folds=2, stop_seeds_at=0.5, seeds=(0, 1)))


@pytest.mark.parametrize("seen", [{}, {"train_on_all": True}])
def test_a_tagger_has_training_draws_too(prepare, seen):
    drawn = prepare(train_examples=6, factors="subset=2 seed=2", seeds=(0, 1, 2, 3), **seen)
    parts = [part for part, _ in drawn.parts(range(4))]
    alone = [prepare(train_examples=6, subset_seed=seed, **seen) for seed in (0, 1)]
    for part, one in zip(parts, alone, strict=True):
        assert part.data["train"].documents.ids == one.data["train"].documents.ids
        assert part.data["test"].documents.ids == one.data["test"].documents.ids
    assert [seeds for _, seeds in drawn.parts(range(4))] == [[0, 2], [1, 3]]
    assert parts[0].data["train"].documents.ids != parts[1].data["train"].documents.ids
    assert parts[1].provenance["subset"] == 1
    assert "training draw (2), seed (2): seeds 0 to 3 are every combination once" in plan.announcement(drawn)
