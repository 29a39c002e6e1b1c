"""From a run's folder to answers: those that the run itself stored, and those of what is exported from it."""

import json

import numpy as np
import pytest

from stablefit.serve import export, model
from stablefit.training import bundle, job, loop, progress, rundir, settings
from tests import tiny


def run(path, **fields):
    """A run of seeds 0 and 1, and its job."""
    done = job.load(settings.read(fields.pop("config")))
    with rundir.RunDirectory(path, done.settings) as directory:
        bundle.ensure(path, done)
        loop.run(done, directory, progress.Progress(0, quiet=True))
    return done


def stored(path, seed=0):
    return np.load(path / f"seed_{seed}" / "predictions.npz")["test_best"]


@pytest.fixture(scope="module")
def pairs(tiny_root, tmp_path_factory):
    """A run on pairs of texts, and what it was tested on."""
    path = tmp_path_factory.mktemp("runs") / "pairs"
    done = run(path, config=tiny.config(tiny_root, pooling="mean", seeds=(0, 1)))
    return path, done


def test_a_run_answers_as_it_was_tested(pairs, tiny_root):
    path, done = pairs
    loaded = model.load(path)
    assert len(loaded.members) == 2
    rows = (tiny_root / "RTE" / "dev.tsv").read_text().splitlines()[1:]
    texts = {f"dev.tsv:{line}": row.split("\t")[1:3] for line, row in enumerate(rows, start=2)}
    tested = [texts[name] for name in done.data["test"].ids]
    first, second = zip(*tested, strict=True)
    found = loaded.outputs(first, second)
    for seed in (0, 1):
        np.testing.assert_allclose(found[seed], stored(path, seed), atol=2e-5)
        alone = model.load(path / f"seed_{seed}").outputs(first, second)
        np.testing.assert_allclose(alone[0], found[seed], atol=2e-5)


def test_an_export_of_a_run_has_the_scores_of_its_seeds(pairs, tmp_path):
    path, _ = pairs
    from stablefit.serve import card

    facts = card.facts_of(path)
    rows = [json.loads(line) for line in (path / "results.jsonl").read_text().splitlines()]
    assert [one.score for one in facts.seeds] == [row["test_best"]["accuracy"] for row in rows]
    export.export(path / "seed_1", tmp_path / "out", facts=facts)
    assert "| 1 | " in (tmp_path / "out" / "README.md").read_text()
    texts = [["w1 w2"], ["w1 w3"]]
    ours = model.load(path / "seed_1").outputs(*texts)
    np.testing.assert_allclose(model.load(tmp_path / "out").outputs(*texts), ours, atol=1e-5)


@pytest.mark.parametrize("crf", [True, False])
def test_a_tagger_answers_as_it_was_tested(tiny_root, tmp_path, crf):
    root = tmp_path / "root"
    root.mkdir()
    (root / "model").symlink_to(tiny_root / "model")
    tiny.write_tagging(root / "own")
    fields = {"task": "tagging", "data_dir": str(root / "own"), "epochs": 20.0, "batch_size": 4, "dropout": 0.0}
    fields |= {"max_length": 8, "lr_multipliers": "crf/.*=10"} if crf else {"max_length": 8, "crf": False}
    done = run(tmp_path / "run", config=tiny.config(root, **fields))
    documents = done.data["test"].documents
    loaded = model.load(tmp_path / "run" / "seed_0")
    labels = loaded.bundle.labels
    expected = [labels[tag] for tag in stored(tmp_path / "run")]
    found = []
    for entities, bounds in zip(loaded.tag(documents.texts), documents.bounds, strict=True):
        tags = ["O"] * len(bounds)
        for one in entities:
            words = [i for i, (start, end) in enumerate(bounds.tolist()) if start >= one.start and end <= one.end]
            tags[words[0]] = f"B-{one.type}"
            for i in words[1:]:
                tags[i] = f"I-{one.type}"
            assert 0 < one.probability <= 1
        found += tags
    assert found == expected
    assert any(tag != "O" for tag in found)
