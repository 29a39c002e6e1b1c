"""No dead fields: every field of stablefit/fields.py changes what a tiny run gives, or is listed with the reason.

Most of such a test is compiling, and most of that is the encoder. So all runs but those of NETWORK have a network of
eight parameters in its place; everything else is as in any run.
"""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from configs import base
from stablefit.data import tasks
from stablefit.errors import InputError
from stablefit.fields import FIELDS
from stablefit.models import alike
from stablefit.training import checkpoints, job, loop, order, progress, rundir, settings
from tests import tiny

# What every run here has: large steps and a large epsilon, so that each part of Adam's formula shows in six steps.
COMMON: dict[str, Any] = {"evaluations": 1, "warmup_ratio": 0.4, "eps": 1e-2, "dropout": 0.0}


TAGGING = {"task": "tagging", "data_dir": "PLACE/tags"}
TEXTS = {"task": "texts", "data_dir": "", "data_file": "PLACE/own/train.csv", "folds": 3}
TEXTS |= {"text_columns": "text", "label_column": "label"}


class Case(NamedTuple):
    """A field's other value, and what must be on for the field to matter. PLACE stands for the folder of the data."""

    value: Any
    partner: dict[str, Any] = {}  # noqa: RUF012


CASES: dict[str, Case] = {
    "model": Case("PLACE/other_model"),
    "task": Case("cola"),
    "data_dir": Case("PLACE/other"),
    "max_length": Case(8),
    "train_examples": Case(20),
    "data_file": Case("PLACE/own/test.csv", TEXTS),
    "text_columns": Case("title", TEXTS),
    "join_texts": Case(True, TEXTS | {"text_columns": "title,text"}),
    "label_column": Case("rare", TEXTS),
    "group_column": Case("group", TEXTS),
    "label_kind": Case("regression", TEXTS | {"label_column": "stars", "label_kind": "classification"}),
    "label_separator": Case("|", TEXTS | {"label_column": "tags", "label_kind": "multilabel", "label_separator": ";"}),
    "train_on_all": Case(True, TEXTS | {"data_file": "PLACE/own", "folds": 0}),
    "class_weights": Case("balanced", TEXTS | {"label_column": "rare"}),
    "pooling": Case("mean"),
    "head_start": Case("probe_1se"),
    "folds": Case(3, TAGGING),
    "pieces": Case("text", TAGGING),
    "crf": Case(False, TAGGING),
    "init_from": Case("PLACE/run/seed_0"),
    "batch_size": Case(16),
    "epochs": Case(0.5),
    "max_steps": Case(4),
    "evaluations": Case(2),
    "patience": Case(1, {"evaluations": 6}),
    "stop_seeds_at": Case(0.3, {"evaluations": 6, "seeds": (0, 1, 2)}),
    "keep_seeds": Case(0.2, {"evaluations": 6, "seeds": (0, 1, 2), "stop_seeds_at": 0.3}),
    "learning_rate": Case(2e-2),
    "schedule": Case("bert"),
    "warmup_ratio": Case(0.0),
    "clip_norm": Case(0.01),
    "component_clip_norm": Case(0.01),
    "b1": Case(0.5),
    "b2": Case(0.9),
    "eps": Case(1e-3),
    "eps_hat": Case(True),
    "bias_correction": Case("none"),
    "weight_decay": Case(0.5),
    "init_decay": Case(0.5),
    "init_decay_coupled": Case(0.5),
    "init_decay_unscaled": Case(0.5),
    "projection_decay": Case(1.0),
    "init_decay_everywhere": Case(True, {"init_decay": 0.5}),
    "layer_decay": Case(0.5),
    "layer_decay_convention": Case("electra", {"layer_decay": 0.5}),
    "lr_multipliers": Case("head/.*=10"),
    "r_drop": Case(2.0, {"mixout_rate": 0.5}),
    "sam_rho": Case(0.5),
    "reinit_layers": Case(1),
    "reinit_blocks": Case((0,)),
    "reinit_patterns": Case("encoder/layer_0/.*/kernel"),
    "reinit_pooler": Case(True),
    "mixout_rate": Case(0.5),
    "mixout_unit": Case("weight", {"mixout_rate": 0.5}),
    "mixout_gradient": Case("official", {"mixout_rate": 0.5}),
    "dropout": Case(0.3),
    "attention_dropout": Case(0.3),
    "seeds": Case((1,)),
    "init_seed": Case(1),
    "data_seed": Case(1),
    "noise_seed": Case(1, {"mixout_rate": 0.5}),
    "subset_seed": Case(1, {"train_examples": 20}),
    "factors": Case("init=2", {"seeds": (2,)}),
    "compute_dtype": Case("bfloat16"),
}

# The encoder itself reads these, or the network is another.
NETWORK = ("dropout", "attention_dropout", "compute_dtype", "folds", "pieces", "crf", "pooling", "head_start")

# These choose what is read of a table; that what is read decides what a run gives, `data_file` and `folds` show.
DATA = ("text_columns", "join_texts", "label_column", "group_column", "label_kind", "label_separator", "train_on_all")
DATA += ("subset_seed",)

# The tests at the end check that these do what they are for, and change no result.
NOT_MEANT_TO: dict[str, str] = {
    "eval_batch_size": "examples that are evaluated together; each counts once whatever their number",
    "id_column": "what rows are called in the predictions",
    "skip_bad": "leaves rows out that are refused otherwise",
    "tag_scheme": "how the tags of a file are written; the same entities are the same run",
    "mixout_with_dropout": "lets mixout and dropout be on together, and does nothing else",
    "gradient": "of the parts of a batch or of all at once; the same up to rounding, with other draws of dropout",
    "remat": "blocks are computed again in the backward pass; the same up to rounding",
    "scan_layers": "blocks that are alike are a loop; the same up to rounding",
    "cohort_size": "runs in one program; the same up to rounding",
    "keep": "which parameters are on disk at the end",
    "checkpoint_minutes": "how often an unfinished run is saved",
    "tensorboard": "the same numbers once more, in another format",
}


class Result(NamedTuple):
    """Everything that a run found out, without names, times and places."""

    metrics: list[dict[str, float]]  # losses and gradient norms of all steps, scores of the evaluations
    rows: list[dict[str, Any]]
    params: dict[str, Any]  # of the last step, of the first seed


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny_root) -> Path:
    """The tiny task and a model of one block, and others of the same shapes in place of each."""
    root = tmp_path_factory.mktemp("fields")
    tiny.write_model(root / "model", blocks=1)
    shutil.copytree(tiny_root / "RTE", root / "RTE")
    shutil.copytree(root / "model", root / "other_model")
    weights = load_file(root / "model" / "model.safetensors")
    save_file({name: 2 * value for name, value in weights.items()}, root / "other_model" / "model.safetensors")
    # The same texts with the labels the other way round, and as single sentences.
    for folder in ("other/RTE", "CoLA"):
        (root / folder).mkdir(parents=True)
        for name in ("train.tsv", "dev.tsv"):
            header, *rows = [line.split("\t") for line in (root / "RTE" / name).read_text().splitlines()]
            flipped = [[*row[:3], "entailment" if row[3] == "not_entailment" else "not_entailment"] for row in rows]
            single = [["source", str(int(row[3] == "entailment")), "", row[1]] for row in rows]
            lines = single if folder == "CoLA" else [header, *flipped]
            (root / folder / name).write_text("".join("\t".join(line) + "\n" for line in lines))
    loaded = job.load(settings.read(tiny.config(root)))
    params = loaded.network.whole(loaded.pretrained)["encoder"]
    head = {"kernel": np.full((8, 2), 0.1, np.float32), "bias": np.array([0.1, -0.1], np.float32)}
    checkpoints.save_params(root / "run" / "seed_0" / "best", {"encoder": params, "head": head})
    labels = np.array(tasks.get_task("rte").labels)
    rundir.save_predictions(root / "run" / "seed_0", {"labels": labels})  # those of the head
    tiny.write_tagging(root / "tags")
    tiny.write_own(root / "own")
    return root


@pytest.fixture(scope="module")
def result(place, tmp_path_factory):
    """`result(**changes)`: what the tiny run gives; equal runs are done once."""
    done: dict[str, Result] = {}

    def run(**changes: Any) -> Result:
        changes = {"network": False} | changes
        key = json.dumps(changes, sort_keys=True)
        if key not in done:
            done[key] = run_in(tmp_path_factory.mktemp("run") / "w", place, **changes)
        return done[key]

    return run


class SmallNetwork:
    """One block without attention, called as the real network: the mean of an example's tokens, block, pooler, head."""

    @staticmethod
    def apply(variables, tokens_RxT, types_RxT, segments_RxT, positions_RxT, rows_E, columns_E, **_):
        encoder, head = variables["params"]["encoder"], variables["params"]["head"]
        block, pooler = encoder["layer_0"]["attention"], encoder["pooler"]
        own_ExT = segments_RxT[rows_E] == segments_RxT[rows_E, columns_E][:, None]
        x_ExTxD = encoder["embeddings"]["word_embeddings"]["embedding"][tokens_RxT[rows_E]]
        x_ExD = jnp.mean(jnp.where(own_ExT[..., None], x_ExTxD, 0.0), axis=1)
        x_ExD = (x_ExD @ block["output"]["kernel"] + block["output"]["bias"][None]) * block["LayerNorm"]["scale"][None]
        x_ExD = jnp.tanh(x_ExD @ pooler["kernel"] + pooler["bias"][None])
        return x_ExD @ head["kernel"] + head["bias"][None]


def with_small_network(the_job: job.Job) -> job.Job:
    encoder = the_job.pretrained["encoder"]
    block = encoder["layer_0"]["attention"]
    small = {
        "embeddings": {"word_embeddings": encoder["embeddings"]["word_embeddings"]},
        "layer_0": {"attention": {"output": block["output"], "LayerNorm": {"scale": block["LayerNorm"]["scale"]}}},
        "pooler": encoder["pooler"],
    }
    the_job = dataclasses.replace(the_job, pretrained=the_job.pretrained | {"encoder": small})
    vars(the_job.network)["model"] = SmallNetwork
    return the_job


def run_in(workdir: Path, place: Path, network: bool = False, **changes: Any) -> Result:
    changes = {n: v.replace("PLACE", str(place)) if isinstance(v, str) else v for n, v in (COMMON | changes).items()}
    config = settings.read(tiny.config(place, **changes))
    the_job = job.load(config) if network else with_small_network(job.load(config))
    with rundir.RunDirectory(workdir, config) as directory:
        rows = loop.run(the_job, directory, progress.Progress(0, quiet=True))
    scores = ("best_step", "validation", "test_best", "test_last", "steps", "failed")
    seed = workdir / f"seed_{config.seeds[0]}"
    return Result(
        rundir.read_lines(seed / "metrics.jsonl"),
        [{name: row[name] for name in scores} for row in rows],
        checkpoints.load_params(seed / "last") if (seed / "last").is_dir() else {},
    )


def examples(place: Path, **changes: Any) -> dict[str, bytes]:
    """What a run learns from, and is judged by: pieces and labels of each part of its data."""
    changes = {n: v.replace("PLACE", str(place)) if isinstance(v, str) else v for n, v in (COMMON | changes).items()}
    data = job.load(settings.read(tiny.config(place, **changes))).data
    return {
        f"{name} {what}": getattr(part, what).tobytes() for name, part in data.items() for what in ("tokens", "labels")
    }


def same(one: Result, other: Result) -> bool:
    a, b = (jax.tree.flatten((r.metrics, r.rows, r.params)) for r in (one, other))
    return a[1] == b[1] and all(np.array_equal(x, y) for x, y in zip(a[0], b[0], strict=True))


def test_every_field_is_in_one_of_the_tables():
    assert CASES.keys() | NOT_MEANT_TO.keys() == FIELDS.keys()
    assert not CASES.keys() & NOT_MEANT_TO.keys()


@pytest.mark.parametrize("field", DATA)
def test_a_field_changes_what_is_learnt_from(field, place):
    case = CASES[field]
    reference, again, changed = (
        examples(place, **partner) for partner in (case.partner, case.partner, case.partner | {field: case.value})
    )
    assert reference == again
    assert reference != changed


@pytest.mark.parametrize("field", [field for field in CASES if field not in DATA])
def test_a_field_changes_the_result(field, result):
    case = CASES[field]
    partner = case.partner | {"network": field in NETWORK}
    reference, changed = result(**partner), result(**partner | {field: case.value})
    for run in (reference, changed):
        assert all(np.isfinite(row["loss"]) for row in run.metrics)
    assert not same(reference, changed)


def test_an_equal_run_is_equal(result, place, tmp_path):
    assert same(result(), run_in(tmp_path / "again", place))


def test_eval_batch_size(result):
    assert same(result(), result(eval_batch_size=64))


def test_tag_scheme(place, tmp_path):
    """In IOB1 only an entity right behind one of its type begins with B-; the labels of the runs are equal."""
    rows = [line.split("\t") for line in (place / "tags" / "train.bio").read_text().splitlines()]
    pairs = zip([[""], *rows], rows, strict=False)
    new = [[*row[:1], "I" + row[1][1:]] if row[1:] and row[1][0] == "B" and before[-1][2:] != row[1][2:] else row
           for before, row in pairs]  # fmt: skip
    assert new != rows
    (tmp_path / "train.bio").write_text("\n".join("\t".join(row) for row in new) + "\n")
    own = TAGGING | {"data_dir": f"{place}/tags", "folds": 2}
    one = job.load(settings.read(tiny.config(place, **own)))
    other = job.load(settings.read(tiny.config(place, **own | {"data_dir": str(tmp_path), "tag_scheme": "iob1"})))
    np.testing.assert_array_equal(one.data["train"].labels, other.data["train"].labels)
    with pytest.raises(InputError, match="after 'O'; in iob2"):
        job.load(settings.read(tiny.config(place, **own | {"data_dir": str(tmp_path)})))


def test_id_column(place, tmp_path):
    ids = []
    for column in ("", "number"):
        run_in(tmp_path / f"w{column}", place, **TEXTS, id_column=column)
        with np.load(tmp_path / f"w{column}" / "seed_0" / "predictions.npz", allow_pickle=False) as kept:
            ids.append(kept["test_ids"].tolist())
    assert [name.split(":")[0] for name in ids[0]] == ["train.csv"] * len(ids[0])
    assert all(name.startswith("n") for name in ids[1])


def test_skip_bad(place, tmp_path):
    text = (place / "own" / "train.csv").read_text()
    (tmp_path / "train.csv").write_text(text + "one,field\n")
    own = TEXTS | {"data_file": str(tmp_path / "train.csv")}
    with pytest.raises(InputError, match=r"train\.csv:50"):
        job.load(settings.read(tiny.config(place, **own)))
    assert job.load(settings.read(tiny.config(place, **own, skip_bad=True))).n_skipped == 1


def test_mixout_with_dropout(place):
    both = {"mixout_rate": 0.5, "dropout": 0.1}
    settings.read(tiny.config(place, **both, mixout_with_dropout=True))
    with pytest.raises(InputError, match="mixout_with_dropout=True"):
        settings.read(tiny.config(place, **both))


@pytest.mark.parametrize("part_tokens", [order.PART_TOKENS, 16], ids=["one part", "parts"])
def test_cohort_size(part_tokens, place, tmp_path, monkeypatch):
    """Also where a member's batch has fewer parts than another's."""
    monkeypatch.setattr(order, "PART_TOKENS", part_tokens)
    one, two = (run_in(tmp_path / str(n), place, seeds=(0, 1), cohort_size=n) for n in (1, 2))
    losses = [[row["loss"] for row in run.metrics] for run in (one, two)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-4), one.params, two.params)


def test_gradient(place, tmp_path, monkeypatch):
    """The same up to rounding, of batches of few tokens, which are one part, and of those that are several."""
    fields = {"network": True, "dropout": 0.0, "learning_rate": 1e-3}
    whole = run_in(tmp_path / "whole", place, gradient="whole", **fields)
    one_part = run_in(tmp_path / "one", place, **fields)
    monkeypatch.setattr(order, "PART_TOKENS", 16)
    parts = run_in(tmp_path / "parts", place, **fields)
    assert not same(one_part, parts)
    losses = [[row["loss"] for row in run.metrics] for run in (whole, one_part, parts)]
    np.testing.assert_allclose(losses[1:], losses[:1] * 2, rtol=1e-4)


def test_remat(result):
    kept, again = result(network=True, dropout=0.3), result(network=True, dropout=0.3, remat=True)
    losses = [[row["loss"] for row in run.metrics] for run in (kept, again)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


def test_a_loop_over_one_block_is_refused(place):
    config = settings.read(tiny.config(place, scan_layers=True))
    with pytest.raises(
        InputError, match=r"^scan_layers=True would change nothing: no two blocks .* \(model_type='bert'\)"
    ):
        job.load(config)


@pytest.mark.slow
def test_scan_layers(place, tmp_path, monkeypatch):
    """The same up to rounding, and it is a loop."""
    tiny.write_model(tmp_path / "model", blocks=3)
    loops, through = [], alike.through
    monkeypatch.setattr(alike, "through", lambda blocks, *rest: loops.append(len(blocks)) or through(blocks, *rest))
    fields = {"network": True, "dropout": 0.3, "model": str(tmp_path / "model")}
    one_by_one = run_in(tmp_path / "one", place, **fields)
    assert not loops
    looped = run_in(tmp_path / "loop", place, scan_layers=True, **fields)
    assert set(loops) == {3}
    losses = [[row["loss"] for row in run.metrics] for run in (one_by_one, looped)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


@pytest.mark.parametrize(
    ("keep", "kept"),
    [("best_and_last", {"best", "last"}), ("best", {"best"}), ("none", set()), ("the default", {"best"})],
)
def test_keep(keep, kept, result, place, tmp_path):
    """By default what predict, export and init_from read."""
    run = run_in(tmp_path / "w", place, keep=base.get_config().keep if keep == "the default" else keep)
    assert {path.name for path in (tmp_path / "w" / "seed_0").iterdir() if path.is_dir()} == kept
    assert (run.metrics, run.rows) == (result().metrics, result().rows)


def test_checkpoint_minutes(result, place, tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(checkpoints, "save_state", lambda directory, step, *_, **__: saved.append(step))
    seldom = run_in(tmp_path / "seldom", place, evaluations=2)
    assert saved == []
    often = run_in(tmp_path / "often", place, evaluations=2, checkpoint_minutes=0.0)
    assert saved == [3]
    assert same(seldom, often)


def test_tensorboard(result, place, tmp_path):
    run = run_in(tmp_path / "w", place, tensorboard=True)
    assert len(list((tmp_path / "w" / "seed_0" / "tensorboard").iterdir())) == 1
    assert same(run, result())


def test_a_run_that_was_begun_before_a_field_existed_is_still_the_same_run(tmp_path):
    now = settings.read(tiny.config(tmp_path))
    newer = [name for name, field in FIELDS.items() if field.before is not None]
    newer = [name for name in newer if FIELDS[name].before == FIELDS[name].default]
    assert newer
    assert not set(newer) & now.identity.keys()
    with rundir.RunDirectory(tmp_path / "w", now):
        pass
    file = tmp_path / "w" / "config.json"
    file.write_text(json.dumps({n: v for n, v in json.loads(file.read_text()).items() if n not in newer}))
    with rundir.RunDirectory(tmp_path / "w", now):
        pass
    with pytest.raises(InputError, match="patience"):
        rundir.RunDirectory(tmp_path / "w", settings.read(tiny.config(tmp_path, patience=3)))


@pytest.mark.parametrize(
    ("task", "more"),
    [("rte", {}), pytest.param("texts", TEXTS | {"data_file": "PLACE/own", "folds": 0}, marks=pytest.mark.slow)],
)
def test_a_run_of_a_study_with_factors_is_the_run_with_these_seeds(task, more, result):
    shared = {"train_examples": 20, "mixout_rate": 0.5, **more}
    of_both = result(**shared, factors="subset=2 init+data=3 noise=2", seeds=(3,))
    alone = result(**shared, subset_seed=1, init_seed=1, data_seed=1, noise_seed=0, seeds=(3,))
    assert same(of_both, alone)
    assert not same(of_both, result(**shared, init_seed=1, data_seed=1, noise_seed=0, seeds=(3,)))
