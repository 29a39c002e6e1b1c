"""`stablefit fit` on files of entities: what it writes, that it goes on, that its numbers are those of its runs."""

import csv
import dataclasses
import html
import io
import json
import re
import shlex
import signal
from collections import Counter
from pathlib import Path

import jax
import numpy as np
import pytest

from stablefit import cli
from stablefit.commands import fit
from stablefit.configs import own_tags as own_tags_config
from stablefit.data.tags import own_tags
from stablefit.data.tags.ner import TaggedExamples
from stablefit.data.tags.tagging import Span, strict_spans
from stablefit.fit import entity_baselines, entity_evidence, entity_page, entity_rows, entity_scores, entity_words
from stablefit.fit.entity_predictions import Found, Predicted
from stablefit.fit.fit_page import About
from stablefit.fit.row_scores import Resamples
from stablefit.models.encoder import Encoder
from stablefit.objectives import entity_metrics
from stablefit.serve import card, model
from stablefit.study import grid
from stablefit.training import inputs, job, rundir, settings
from tests import tiny
from tests.malformed_tags import MALFORMED_TAGS


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("fit")
    tiny.write_model(root / "model", blocks=1)
    tiny.write_tagging(root / "own", train=30)
    return root


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch):
    monkeypatch.setenv("STABLEFIT_CACHE", "")
    inputs.forget()


def arguments(place: Path, out: Path, *more: str, file: str = "own/train.bio") -> list[str]:
    given = [str(place / file), f"--out={out}", f"--model={place / 'model'}"]
    return [*given, "--steps=3", "--folds=2", "--repeats=1", "--quiet", *more]


@pytest.fixture(scope="module")
def done(place, tmp_path_factory):
    """A finished fit of two seeds."""
    out = tmp_path_factory.mktemp("done") / "out"
    assert fit.main(arguments(place, out, "--repeats=2", file="own")) == 0
    return out


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def evidence_of(out: Path) -> dict:
    return json.loads((out / "fit.json").read_text())["evidence"]


def test_it_leaves_a_page_the_entities_and_a_model(done):
    assert {path.name for path in done.iterdir()} == {"fit.json", "runs", "out_of_fold.csv", "report.html", "model"}
    page = html.unescape((done / "report.html").read_text())
    record = evidence_of(done)
    assert record["headline"] in page
    assert (record["n"], record["n_repeats"], record["types"]) == (30, 2, ["LOC", "PER"])
    assert [one["name"] for one in record["baselines"]] == ["nothing", "dictionary", "frozen"]
    assert "30 sentences with" in page
    assert "Annotations that are probably wrong" in page


@pytest.mark.slow
def test_standard_input_is_fitted_as_the_file(place, tmp_path, monkeypatch):
    content = (place / "own" / "train.bio").read_bytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert fit.main(["-", *arguments(place, tmp_path / "out", "--kind=tagging")[1:]]) == 0
    assert fit.main(arguments(place, tmp_path / "file")) == 0
    here, there = (rows_of(tmp_path / name / "out_of_fold.csv") for name in ("out", "file"))
    assert [row["probability"] for row in here] == [row["probability"] for row in there]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content + b"w1 X-LOC\n")))
    assert fit.main(["-", *arguments(place, tmp_path / "refused")[1:]]) == 2
    assert not (tmp_path / "refused").exists()


def test_every_entity_is_of_models_that_never_saw_its_document(done, place):
    """Scores and rows are those of the mean emissions of the two runs whose test fold held the document."""
    own = own_tags.read(str(place / "own"))[0].examples
    [cell] = [path.parent for path in (done / "runs" / "cells").glob("*/seed_3")]
    labels = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    where = {name: d for d, name in enumerate(own.ids)}
    seen: Counter[str] = Counter()
    stored = [np.load(cell / f"seed_{seed}" / "predictions.npz") for seed in range(4)]
    alone = []
    for repeat in (0, 1):
        spans: list[list[Span]] = [[] for _ in own.ids]
        for seed in (2 * repeat, 2 * repeat + 1):
            names, tags = stored[seed]["test_documents"].tolist(), stored[seed]["test_last"].tolist()
            seen.update(names)
            for name in names:
                n = len(own.words[where[name]])
                mine, tags = [labels[tag] for tag in tags[:n]], tags[n:]
                spans[where[name]] = strict_spans(mine, "iob2")
            assert not tags
        alone.append(entity_metrics.score_spans(own.entities, spans).micro.f1)
    assert set(seen.values()) == {2}
    assert len(seen) == 30
    record = evidence_of(done)
    assert record["single"]["entity_f1"]["values"] == pytest.approx(alone)
    rows = rows_of(done / "out_of_fold.csv")
    given = {
        (own.ids[d], *map(str, own.bounds[d][[s.start, s.end - 1], [0, 1]]), s.type)
        for d, some in enumerate(own.entities)
        for s in some
    }
    assert {(r["id"], r["start"], r["end"], r["type"]) for r in rows if r["annotated"] == "yes"} == given
    right = sum(r["annotated"] == r["found"] == "yes" for r in rows)
    found = sum(r["found"] == "yes" for r in rows)
    assert (found, record["errors"]["right"]) == (record["n_found"], right)
    assert record["scores"]["entity_f1"]["value"] == pytest.approx(2 * right / (found + len(given)))
    for row in rows:
        text = own.texts[where[row["id"]]]
        assert text[int(row["start"]) : int(row["end"])] == row["text"]
        assert 0 <= float(row["probability"]) <= 1


def test_the_model_is_that_of_its_runs_on_all_documents(done):
    loaded = model.load(done)
    assert len(loaded.members) == 2
    assert loaded.bundle.labels == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    assert (loaded.bundle.kind, loaded.bundle.unit, loaded.bundle.pieces, loaded.bundle.crf) == (
        "tagging",
        "word",
        "text",
        True,
    )
    assert loaded.bundle.max_length == 32
    facts = card.facts_of(done)
    assert facts is not None
    assert set(facts.per_label) == {"LOC", "PER"}
    assert facts.score[1] <= facts.score[0] <= facts.score[2]
    assert facts.baselines["nothing"] == 0


def test_the_same_command_goes_on_and_another_is_refused(done, place, capsys):
    before = {path: path.stat().st_mtime_ns for path in (done / "runs").rglob("results.jsonl")}
    page, evidence = (done / "report.html").read_text(), evidence_of(done)
    assert fit.main(arguments(place, done, "--repeats=2", file="own")) == 0
    assert {path: path.stat().st_mtime_ns for path in (done / "runs").rglob("results.jsonl")} == before
    assert page == (done / "report.html").read_text()
    assert evidence == evidence_of(done)
    assert "On the test file (8 sentences) the model to keep has entity F1" in capsys.readouterr().out
    assert fit.main(arguments(place, done, "--repeats=2", "--keep=single", file="own")) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.slow
def test_an_interrupted_fit_goes_on_with_the_same_bits(done, place, tmp_path, monkeypatch, capsys):
    """One that has a learning curve too, whose runs are others."""
    finish, n = rundir.RunDirectory.finish, [0]

    def finish_and_stop(self, row):
        finish(self, row)
        n[0] += 1
        if n[0] < 3:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(rundir.RunDirectory, "finish", finish_and_stop)
    codes = []
    while not codes or codes[-1]:
        assert len(codes) < 5
        codes.append(fit.main(arguments(place, tmp_path / "out", "--repeats=2", "--curve", file="own")))
    assert codes[:-1]
    assert codes[:-1] == [128 + signal.SIGTERM] * len(codes[:-1])
    assert "the same command goes on" in capsys.readouterr().err
    assert (tmp_path / "out" / "out_of_fold.csv").read_bytes() == (done / "out_of_fold.csv").read_bytes()
    record = evidence_of(tmp_path / "out")
    points = record["curve"]["points"]
    assert [point["n"] for point in points] == [5, 10, 15]
    assert points[-1]["score"]["value"] == record["scores"]["entity_f1"]["value"]


def test_what_the_page_says_of_its_use_runs(done, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = html.unescape((done / "report.html").read_text())
    find, python, transformers = re.findall(r"<pre><code>(.*?)</code></pre>", page, re.DOTALL)[-3:]
    (tmp_path / "new.csv").write_text("text\nw1 w2\nw30\n")
    assert cli.main(shlex.split(find)[1:]) == 0
    assert [row["text"] for row in rows_of(tmp_path / "answers.csv")] == ["w1 w2", "w30"]
    assert all(isinstance(json.loads(row["entities"]), list) for row in rows_of(tmp_path / "answers.csv"))
    exec(python, {})
    export, *rest = transformers.splitlines()
    assert cli.main(shlex.split(export)[1:]) == 0
    folders = {part for line in rest for part in re.findall(r'from_pretrained\("(.*?)"\)', line)}
    assert folders == {"exported"}
    readme = (tmp_path / "exported" / "README.md").read_text()
    assert "Entities in texts" in readme
    assert "All members together: " in readme
    assert (tmp_path / "exported" / "crf.json").is_file()
    capsys.readouterr()


def test_columns_that_are_chosen_are_trained_on(place, tmp_path, monkeypatch, capsys):
    """An index first, and the entities not last: the runs read what was found; what they cannot do is said."""
    lines = (place / "own" / "train.bio").read_text().strip("\n").split("\n\n")
    numbered = []
    for sentence in lines:
        rows = [line.split("\t") for line in sentence.strip("\n").split("\n")]
        numbered.append("\n".join(f"{i}\t{w}\t{t}\tB-X" for i, (w, t) in enumerate(rows, start=1)))
    (tmp_path / "a.tsv").write_text("# a file\n" + "\n\n".join(numbered) + "\n")
    given = [str(tmp_path / "a.tsv"), f"--out={tmp_path / 'out'}", f"--model={place / 'model'}", "--quiet"]
    assert fit.main([*given, "--text=2"]) == 2
    assert not (tmp_path / "out").exists()
    jobs = {}

    def lost(these, *_):
        jobs.update(these)
        return ["a node is gone"]

    monkeypatch.setattr(grid, "run", lost)
    assert fit.main([*given, "--text=2", "--label=3"]) == 1
    assert capsys.readouterr().err.endswith("stablefit: a node is gone\n")
    validated, kept = jobs.values()
    plain = own_tags.read(str(place / "own" / "train.bio"))[0].examples
    for one in (validated, kept):
        documents = one.objective.encoded["train"].documents
        assert (documents.words, documents.entities) == (plain.words, plain.entities)
    assert (len(validated.settings.seeds), len(kept.settings.seeds)) == (15, 3)
    assert (validated.n("train"), validated.n("test"), kept.n("train")) == (24, 6, 30)
    assert (validated.total_steps, validated.spec.batch_size, validated.spec.pieces) == (200, 32, "text")


@pytest.mark.parametrize("bad", MALFORMED_TAGS, ids=lambda bad: bad.name)
def test_a_malformed_file_is_refused_before_anything_is_written(tmp_path, bad, capsys):
    file = tmp_path / bad.file
    file.write_bytes(bad.content)
    assert fit.main([str(file), f"--out={tmp_path / 'out'}"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"stablefit: {file}{bad.says}")
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


UTF16 = '{"text": "\N{ROCKET} Anna", "entities": [{"start": 3, "end": 7, "label": "PER", "text": "Anna"}]}\n'


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--keep=average"], "--keep=average: taggers begin with different heads"),
        (["--class-weights=balanced"], "--class-weights=balanced: entities have none"),
        (["--label=7"], "--label=7: the file has 2 columns"),
        (["--model=./no"], "does not exist"),
        (["--max-length=4000"], "max_length is 4000"),
        (["--join"], "--join: a file of entities"),
        (["--kind=classification"], ""),
    ],
)
def test_bad_arguments_are_one_line(place, tmp_path, more, says, capsys):
    assert fit.main([*arguments(place, tmp_path / "out"), *more]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 or not says
    assert says in error
    assert not (tmp_path / "out").exists()


def test_offsets_in_utf16_units_are_not_trained_on(place, tmp_path, capsys):
    (tmp_path / "a.jsonl").write_text(UTF16 * 3)
    assert fit.main([str(tmp_path / "a.jsonl"), f"--out={tmp_path / 'out'}", f"--model={place / 'model'}"]) == 2
    assert "starts and ends count UTF-16 units; write them in characters" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


# --- the recipe


def test_the_recipe_is_that_of_its_study_and_keeps_its_bounds():
    config = own_tags_config.get_config()
    study = {"batch_size": 4, "learning_rate": 2e-4, "pieces": "text", "lr_multipliers": "crf/.*=100"}
    assert {name: config[name] for name in study} == study
    settings.read(config.to_dict())
    for documents in (1, 10, 400, 10**6):
        for words in (1, 20, 150, 10**4):
            found = own_tags_config.recipe(documents, words, blocks=12, width=768)
            assert 200 <= found["max_steps"] <= 1500
            assert 4 <= found["batch_size"] <= 32
    assert own_tags_config.recipe(320, 150, 1, 8)["reinit_layers"] == 0


# --- the evidence, of made entities


def made(n: int = 40, repeats: int = 2, seed: int = 0) -> Predicted:
    """Documents of six words; annotated are words 0 and 3; each repeat finds them, or another, at random."""
    rng = np.random.default_rng(seed)
    words = [[f"w{d}", "a", "b", "c<b>", "d", "e"] for d in range(n)]
    entities = [[Span(0, 1, "PER"), Span(3, 5, "LOC")] for _ in range(n)]
    documents = TaggedExamples.from_words(words, entities, [f"f:{d}" for d in range(n)])
    others = [Span(0, 1, "LOC"), Span(3, 4, "LOC"), Span(1, 2, "PER")]
    alone = []
    for _ in range(repeats):
        some = []
        for _ in range(n):
            kept = [span for span in entities[0] if rng.random() < 0.7]
            wrong = [
                span for span in others if rng.random() < 0.2 and not any(entity_scores.overlap(span, k) for k in kept)
            ]
            some.append(sorted({*kept, *wrong[:1]}))
        alone.append(some)
    found = [
        [Found(span, float(rng.uniform(0.5, 1)), sum(span in a[d] for a in alone) / repeats) for span in alone[0][d]]
        for d in range(n)
    ]
    return Predicted(documents, ("LOC", "PER"), found, alone, [[0.4, 0.4] for _ in range(n)])


def test_scores_are_those_of_the_metrics_and_resamples_count_documents():
    p = made()
    spans = [[one.span for one in some] for some in p.found]
    expected = entity_metrics.score_spans(p.documents.entities, spans)
    e = entity_evidence.weigh(p, {"nothing": [[] for _ in spans]}, np.arange(40), n_resamples=200)
    assert e.scores["entity_f1"].value == pytest.approx(expected.micro.f1)
    assert e.scores["precision"].value == pytest.approx(expected.micro.precision)
    assert e.scores["recall"].value == pytest.approx(expected.micro.recall)
    assert {line.name: line.f1 for line in e.per_type} == pytest.approx(
        {name: c.f1 for name, c in expected.per_type.items()}
    )
    assert e.scores["entity_f1"].low < e.scores["entity_f1"].value < e.scores["entity_f1"].high
    # A resample is a file with its documents that often.
    counts = np.random.default_rng(1).integers(0, 3, 40)
    often = [d for d, n in enumerate(counts) for _ in range(n)]
    again = entity_metrics.score_spans([p.documents.entities[d] for d in often], [spans[d] for d in often]).micro
    drawn = entity_scores.scorer(p.documents, spans)(counts[None].astype(float))
    assert drawn["entity_f1"][0] == pytest.approx(again.f1)
    # What cuts a word is there to be found, and is not.
    lost = dataclasses.replace(p.documents, unrepresented=[("PER",)] * 40)
    beside = entity_metrics.score_spans(lost.entities, spans, unrepresented=lost.n_unrepresented).micro
    cut = entity_evidence.weigh(dataclasses.replace(p, documents=lost), {}, np.arange(40), n_resamples=20)
    assert cut.scores["recall"].value == pytest.approx(beside.recall)
    assert (cut.n_lost, cut.n_entities, cut.errors.lost) == (40, 120, 40)
    # Documents that belong together are drawn together: fewer units, a wider interval.
    wide = entity_evidence.weigh(p, {}, np.arange(40) // 10, n_resamples=200)
    assert wide.n_groups == 4
    assert wide.scores["entity_f1"].high - wide.scores["entity_f1"].low > 0


def test_agreement_is_of_entities_that_every_seed_finds_alone():
    p = made()
    e = entity_evidence.weigh(p, {}, np.arange(40), n_resamples=50)
    rows = [(one, p.documents.entities[d]) for d, some in enumerate(p.found) for one in some]
    agreed = [one.span in own for one, own in rows if one.agreement == 1]
    others = [one.span in own for one, own in rows if one.agreement < 1]
    assert e.agreement is not None
    assert e.agreement.n_agreed == len(agreed)
    assert e.agreement.where_all_agree
    assert e.agreement.elsewhere
    assert e.agreement.where_all_agree.value == pytest.approx(np.mean(agreed))
    assert e.agreement.elsewhere.value == pytest.approx(np.mean(others))
    assert entity_evidence.weigh(made(repeats=1), {}, np.arange(40), n_resamples=50).agreement is None
    # One that the first seed alone does not find is not agreed on.
    late = Predicted(
        p.documents.subset([0]),
        p.types,
        [[Found(Span(0, 1, "PER"), 0.9, 0.5)]],
        [[[]], [[Span(0, 1, "PER")]]],
        [[0.9, 0.1]],
    )
    agreement = entity_evidence.weigh(late, {}, np.arange(1), n_resamples=5).agreement
    assert agreement is not None
    assert agreement.n_agreed == 0


def test_calibration_is_of_found_entities():
    p = made()
    e = entity_evidence.weigh(p, {}, np.arange(40), n_resamples=50)
    hits = entity_scores.hits(p.documents, p.found)
    sure = np.array([one.probability for some in p.found for one in some])
    assert e.reliability is not None
    assert e.reliability.brier == pytest.approx(np.mean((sure - hits) ** 2))
    assert sum(b.n for b in e.reliability.bins) == e.n_found == len(hits)
    [cut] = [one for one in e.cuts if one.at == 0.9]
    assert cut.n == (sure >= 0.9).sum()
    assert cut.precision == pytest.approx(hits[sure >= 0.9].mean())
    assert cut.recall == pytest.approx(hits[sure >= 0.9].sum() / 80)


def test_the_first_sentence_is_that_a_dictionary_is_as_good():
    p = made()
    perfect = {"nothing": [[] for _ in range(40)], "dictionary": p.documents.entities}
    e = entity_evidence.weigh(p, perfect, np.arange(40), n_resamples=200)
    assert e.headline.startswith("Fine-tuning is worse than a dictionary of the annotated entities: entity F1 ")
    assert e.best_baseline == "dictionary"
    better = entity_evidence.weigh(p, {"nothing": [[] for _ in range(40)]}, np.arange(40), n_resamples=200)
    assert re.match(
        r"About \d+ of 100 entities that it finds in new documents like these will be right", better.headline
    )
    assert better.headline.endswith("; finding no entity at all gets an F1 of 0.000.")


def test_kinds_of_errors():
    documents = TaggedExamples.from_words(
        [list("abcdefgh")], [[Span(0, 2, "X"), Span(3, 4, "X"), Span(6, 8, "Y")]], ["f:1"]
    )
    spans = [Span(0, 2, "X"), Span(3, 4, "Y"), Span(5, 6, "X"), Span(7, 8, "Y")]
    errors = entity_scores.errors(documents, [[Found(span, 1.0, 1.0) for span in spans]])
    assert errors == entity_scores.Errors(1, 1, 1, 0, 1, 0, 0)
    errors = entity_scores.errors(documents, [[Found(Span(7, 8, "X"), 1.0, 1.0)]])
    assert errors == entity_scores.Errors(0, 0, 0, 1, 0, 2, 0)
    [pair] = entity_scores.confused(documents, [[Found(span, 1.0, 1.0) for span in spans]])
    assert (pair.given, pair.predicted, pair.n) == ("X", "Y", 1)


def test_annotations_are_doubted_where_all_seeds_are_sure_against_them():
    """A forgotten entity, one of another type, and one that is none; not what one seed alone says."""
    n = 12
    words = [["Anna", "met", "Bruno", "in", "Celle"] for _ in range(n)]
    full = [Span(0, 1, "PER"), Span(2, 3, "PER"), Span(4, 5, "LOC")]
    entities = [list(full) for _ in range(n)]
    entities[0] = full[:2]  # Celle is forgotten
    entities[1] = [full[0], Span(2, 3, "LOC"), full[2]]
    entities[2] = [full[0], Span(1, 2, "PER"), *full[1:]]  # met is none
    documents = TaggedExamples.from_words(words, entities, [f"f:{d}" for d in range(n)])
    alone = [[list(full) for _ in range(n)] for _ in range(2)]
    alone[1][3] = full[:2]
    entities[4], alone[1][4] = full[:2], full[:2]  # one seed alone is not enough
    found = [[Found(span, 0.95, 1.0) for span in full] for _ in range(n)]
    annotated = [[0.95 if span in full else 0.01 for span in own] for own in entities]
    p = Predicted(documents, ("LOC", "PER"), found, alone, annotated)
    listed = [(one.id, one.text, one.given, one.predicted) for one in entity_rows.suspects(p)]
    assert listed == [
        ("f:2", "met", "PER", "nothing"),
        ("f:0", "Celle", "nothing", "LOC"),
        ("f:1", "Bruno", "LOC", "PER"),
    ]
    assert [(vote.document, vote.span, vote.n) for vote in entity_rows.votes(p)] == [(3, full[2], 1), (4, full[2], 1)]
    # Models that find little of a type say nothing of what they do not find.
    poor = Predicted(documents, p.types, [[] for _ in range(n)], [[[] for _ in range(n)]], annotated)
    assert entity_rows.suspects(poor) == []


def test_texts_in_the_page_are_escaped():
    p = made()
    name, span = "<i>PER", Span(3, 5, "<i>PER")
    found = [[Found(span, 0.99, 1.0)], *p.found[1:]]
    doubted = Predicted(p.documents, ("LOC", name), found, [[[span], *one[1:]] for one in p.alone], p.annotated)
    e = entity_evidence.weigh(doubted, {"<script>": p.documents.entities}, np.arange(40), n_resamples=50)
    page = entity_page.render(e, About("<u>title", "<u>file"))
    assert "&lt;b&gt;" in page
    assert "<mark>" in page
    for raw in ("c<b>", "<i>PER", "<script>", "<u>"):
        assert raw not in page


def test_nothing_found_is_a_page_too():
    p = made()
    none = Predicted(p.documents, p.types, [[] for _ in range(40)], [[[] for _ in range(40)]] * 2, p.annotated)
    e = entity_evidence.weigh(none, {"nothing": [[] for _ in range(40)]}, np.arange(40), n_resamples=50)
    assert (e.n_found, e.reliability, e.agreement, e.coverage) == (0, None, None, ())
    assert "No entity is found at all" in entity_page.render(e, About("title", "file"))
    assert "It finds no entity right." in (e.headline, *e.says)


# --- the baselines


def test_a_dictionary_knows_the_other_folds_alone():
    words = [["Anna", "met", "May"], ["Anna", "may", "May"], ["Dora", "in", "May"], ["Anna", "left", "early"]]
    entities = [[Span(0, 1, "PER"), Span(2, 3, "PER")], [Span(0, 1, "PER")], [], []]
    documents = TaggedExamples.from_words(words, entities, [f"f:{d}" for d in range(4)])
    known = entity_baselines.dictionary(documents, [0, 1, 2])
    assert known.types == {("Anna",): "PER"}  # May stands outside of entities more often
    assert entity_baselines.dictionary(documents, [0]).types == {("Anna",): "PER", ("May",): "PER"}
    assert known.find(documents.words[3]) == [Span(0, 1, "PER")]


def test_where_nothing_is_gained_by_the_sure_alone_nothing_is_said():
    cut = entity_scores.Cut(0.9, n=100, precision=0.99, recall=0.9)
    assert "99 of 100 are right instead of 98" in entity_words.when_only_the_sure([cut], 101, 0.98)
    assert entity_words.when_only_the_sure([cut], 101, 0.988) == ""


def test_the_frozen_encoder_is_asked_at_every_word(place):
    """Vectors are the encoder's hidden states; the regression on them finds what vectors tell."""
    config = own_tags_config.get_config()
    config.update(model=str(place / "model"), data_dir=str(place / "own"), folds=2, max_length=8)
    config.update(train_on_all=True, seeds=(0, 1), max_steps=1, reinit_layers=0)
    the_job = job.load(settings.read(config.to_dict()))
    vectors = entity_baselines.word_vectors(the_job)
    pool = the_job.pool
    documents = pool.documents  # pyright: ignore[reportAttributeAccessIssue]
    assert [len(one) for one in vectors] == [len(words) for words in documents.words]
    encoder = the_job.objective.start(jax.random.key(0), the_job.encoder, the_job.pretrained)
    short = next(d for d, words in enumerate(documents.words) if len(words) <= 6)
    [row] = np.flatnonzero(pool.document == short)  # pyright: ignore[reportAttributeAccessIssue]
    part = slice(row, row + 1)
    hidden = Encoder(the_job.encoder, with_pooler=False).apply(
        {"params": encoder["encoder"]}, pool.tokens[part], pool.types[part], pool.segments[part], deterministic=True
    )
    np.testing.assert_allclose(vectors[short], np.asarray(hidden)[0, 1 : 1 + len(vectors[short])], atol=1e-5)

    rng = np.random.default_rng(0)
    tags = [rng.integers(0, 2, 8) for _ in range(20)]
    told = [np.eye(4)[one] + 0.01 * rng.normal(size=(8, 4)) for one in tags]
    labels = ("O", "B-X", "I-X", "B-Y", "I-Y")
    spans = entity_baselines.linear(told, tags, range(10), range(10, 20), labels)
    for d, own in zip(range(10, 20), spans, strict=True):
        assert own == [Span(i, i + 1, "X") for i in np.flatnonzero(tags[d]).tolist()]


def test_entities_of_a_document_are_drawn_together():
    p = made()
    resamples = Resamples(40, np.arange(40), 0, 10)
    drawn = entity_scores.of_entities(np.arange(40), p.found, resamples)
    assert drawn is not None
    assert drawn.n == sum(map(len, p.found))
    assert drawn.n_units == sum(bool(some) for some in p.found)
