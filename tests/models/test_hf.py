"""Hugging Face directories: what is read, what is refused and with which words, and the way back."""

import json
import pickle
import struct
import sys
import types
from pathlib import Path

import jax
import numpy as np
import pytest
from ml_dtypes import bfloat16
from safetensors.numpy import load_file, save_file

from stablefit.errors import InputError
from stablefit.models import hf
from stablefit.models.config import EncoderConfig
from stablefit.models.sources import INDEX
from tests.golden import make_encoder as golden

CONFIG = EncoderConfig.from_dict(golden.TINY_CONFIG)
WEIGHTS = golden.tiny_weights()


def write(directory: Path, weights=WEIGHTS, config=golden.TINY_CONFIG) -> Path:
    directory.mkdir(exist_ok=True)
    save_file(dict(weights), directory / "model.safetensors")
    (directory / "config.json").write_text(json.dumps(config))
    return directory


def load(directory: Path):
    return hf.load_encoder(directory, hf.load_config(directory))


def refusal(directory: Path) -> str:
    with pytest.raises(InputError) as error:
        load(directory)
    message = str(error.value)
    assert "\n" not in message
    assert len(message) < 2000
    return message


def assert_same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert x.dtype == np.float32
        np.testing.assert_array_equal(x, y)


def test_names_and_orientation(tmp_path):
    params, report = load(write(tmp_path / "m"))
    assert list(params) == ["embeddings", "layer_0", "layer_1", "pooler"]
    stored = WEIGHTS["encoder.layer.1.intermediate.dense.weight"]
    np.testing.assert_array_equal(params["layer_1"]["intermediate"]["kernel"], stored.T)
    np.testing.assert_array_equal(params["embeddings"]["LayerNorm"]["scale"], WEIGHTS["embeddings.LayerNorm.weight"])
    assert report.num_parameters == sum(array.size for array in WEIGHTS.values())
    assert report.files == ("model.safetensors",)
    assert "with pooler" in str(report)


def test_other_spellings_are_the_same_model(tmp_path):
    expected, _ = load(write(tmp_path / "plain"))
    old = {
        "bert." + k.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): v
        for k, v in WEIGHTS.items()
    }
    extras = {
        "cls.predictions.bias": np.zeros(3, np.float32),
        "bert.embeddings.position_ids": np.arange(12)[None],
        "classifier.weight": np.zeros((2, 16), np.float32),
    }
    params, report = load(write(tmp_path / "old", old | extras))
    assert_same(params, expected)
    assert sorted(report.ignored) == sorted(extras)


@pytest.mark.parametrize("dtype", [np.float16, bfloat16])
def test_half_precision_is_widened(tmp_path, dtype):
    halves = {name: array.astype(dtype) for name, array in WEIGHTS.items()}
    params, report = load(write(tmp_path / "half", halves))
    assert_same(params, load(write(tmp_path / "wide", {k: v.astype(np.float32) for k, v in halves.items()}))[0])
    assert report.dtypes == ({np.float16: "F16", bfloat16: "BF16"}[dtype],)


def shards(directory: Path, name: str = "b.safetensors", target: Path | None = None) -> Path:
    """Two shards, of which the second is called `name` in the index, and lies at `target`."""
    write(directory)
    (directory / "model.safetensors").unlink()
    first = {k: v for k, v in WEIGHTS.items() if "layer.1" not in k}
    second = {k: v for k, v in WEIGHTS.items() if "layer.1" in k}
    save_file(first, directory / "a.safetensors")
    save_file(second, target or directory / "b.safetensors")
    weight_map = dict.fromkeys(first, "a.safetensors") | dict.fromkeys(second, name)
    (directory / INDEX).write_text(json.dumps({"weight_map": weight_map}))
    return directory


def test_an_index_of_shards(tmp_path):
    params, report = load(shards(tmp_path / "shards"))
    assert_same(params, load(write(tmp_path / "one"))[0])
    assert report.files == ("a.safetensors", "b.safetensors")
    (tmp_path / "shards/b.safetensors").unlink()
    assert "'b.safetensors', which is missing" in refusal(tmp_path / "shards")


@pytest.mark.parametrize("kind", ["parent", "absolute", "folder", "link", "nul"])
def test_an_index_may_not_leave_its_directory(tmp_path, kind):
    outside = tmp_path / "outside.safetensors"
    name = {
        "parent": "../outside.safetensors",
        "absolute": str(outside),
        "folder": "sub/b.safetensors",
        "link": "link.safetensors",
        "nul": "b\0.safetensors",
    }[kind]
    directory = shards(tmp_path / "m", name, outside)
    if kind == "link":
        (directory / name).symlink_to(outside)
    assert "not a file of this directory" in refusal(directory)


def test_links_of_the_hubs_cache_are_followed(tmp_path):
    snapshot = tmp_path / "models--o--n" / "snapshots" / "abc"
    snapshot.parent.mkdir(parents=True)
    (tmp_path / "models--o--n" / "blobs").mkdir()
    blob = tmp_path / "models--o--n" / "blobs" / "0123"
    shards(snapshot, target=blob)
    (snapshot / "b.safetensors").symlink_to(blob)
    assert load(snapshot)[1].has_pooler


def test_everything_that_does_not_fit_is_said_at_once(tmp_path):
    weights = dict(WEIGHTS)
    del weights["encoder.layer.0.output.dense.bias"]
    weights["encoder.layer.2.output.dense.bias"] = np.zeros(16, np.float32)
    weights["embeddings.LayerNorm.bias"] = np.zeros(17, np.float32)
    weights["pooler.dense.bias"] = np.zeros(16, np.int32)
    message = refusal(write(tmp_path / "m", weights))
    assert "1 missing: encoder.layer.0.output.dense.bias" in message
    assert "1 unexpected: encoder.layer.2.output.dense.bias" in message
    assert "1 misshapen: embeddings.LayerNorm.bias is [17], not [16]" in message
    assert "1 mistyped: pooler.dense.bias is I32, not one of F16/BF16/F32" in message
    deeper = refusal(write(tmp_path / "deep", WEIGHTS, golden.TINY_CONFIG | {"num_hidden_layers": 9}))
    assert "112 missing: " in deeper
    assert "and 108 more" in deeper


def test_a_pooler_may_be_missing_but_not_half(tmp_path):
    without = {k: v for k, v in WEIGHTS.items() if "pooler" not in k}
    params, report = load(write(tmp_path / "m", without))
    assert "pooler" not in params
    assert not report.has_pooler
    assert "no pooler" in str(report)
    half = without | {"pooler.dense.bias": WEIGHTS["pooler.dense.bias"]}
    assert "1 missing: pooler.dense.weight" in refusal(write(tmp_path / "half", half))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(tmp_path, value):
    name = "encoder.layer.1.output.dense.weight"
    bad = WEIGHTS[name].copy()
    bad[3, 4] = value
    assert f"{name} holds NaN or infinite values" in refusal(write(tmp_path / "m", WEIGHTS | {name: bad}))


def test_a_tensor_stored_twice_is_refused(tmp_path):
    name = "embeddings.LayerNorm.bias"
    assert "is stored twice" in refusal(write(tmp_path / "m", WEIGHTS | {f"bert.{name}": WEIGHTS[name]}))


@pytest.mark.parametrize("damage", ["empty", "short", "header", "huge header", "text", "folder"])
def test_damaged_weights_are_named(tmp_path, damage):
    directory = write(tmp_path / "m")
    file = directory / "model.safetensors"
    good = file.read_bytes()
    bad = {
        "empty": b"",
        "short": good[: len(good) // 2],
        "header": good[:8] + b"\xff" * 20 + good[28:],
        "huge header": struct.pack("<Q", 2**62) + good[8:],
        "text": b"version https://git-lfs.github.com/spec/v1\n",
        "folder": b"",
    }[damage]
    file.write_bytes(bad)
    if damage == "folder":
        file.unlink()
        file.mkdir()
    assert "model.safetensors" in refusal(directory)


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"a": ' * 100_000, "\xff", "NaN", "absent"])
def test_damaged_configs_are_named(tmp_path, content):
    directory = write(tmp_path / "m")
    (directory / "config.json").write_bytes(content.encode("latin-1"))
    if content == "absent":
        (directory / "config.json").unlink()
    assert "config.json" in refusal(directory)


@pytest.mark.parametrize("weight_map", ['{"weight_map": []}', '{"weight_map": {"a": 1}}', "{}", "]"])
def test_damaged_indices_are_named(tmp_path, weight_map):
    directory = shards(tmp_path / "m")
    (directory / INDEX).write_text(weight_map)
    assert INDEX in refusal(directory)


class _Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was opened",))


def test_pickles_are_not_opened_and_the_conversion_is_said(tmp_path):
    directory = write(tmp_path / "m")
    (directory / "model.safetensors").unlink()
    assert "give a directory that has one" in refusal(directory)
    (directory / "flax_model.msgpack").write_bytes(b"")
    assert "from_flax=True" in refusal(directory)
    (directory / "pytorch_model.bin").write_bytes(pickle.dumps(_Bomb()))
    message = refusal(directory)
    assert "pickled weights are not opened; convert pytorch_model.bin where torch is: python -c " in message
    assert "weights_only=True" in message


def test_export_and_reading_it_back_are_bit_exact(tmp_path):
    params, _ = load(write(tmp_path / "m"))
    head = {"kernel": np.ones((16, 3), np.float32), "bias": np.arange(3, dtype=np.float32)}
    hf.save_encoder(tmp_path / "out", {"encoder": params, "head": head}, golden.TINY_CONFIG)
    again, report = load(tmp_path / "out")
    assert_same(again, params)
    assert report.ignored == ("classifier.bias", "classifier.weight")
    stored = load_file(tmp_path / "out" / "model.safetensors")
    assert stored["classifier.weight"].shape == (3, 16)
    np.testing.assert_array_equal(stored["bert.pooler.dense.weight"], WEIGHTS["pooler.dense.weight"])
    fields = json.loads((tmp_path / "out" / "config.json").read_text())
    assert fields["architectures"] == ["BertForSequenceClassification"]
    assert fields["id2label"] == {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["config.json", "model.safetensors"]
    with pytest.raises(InputError, match=r"unknown encoder/crf"):
        hf.save_encoder(tmp_path / "x", {"encoder": params | {"crf": head["bias"]}}, golden.TINY_CONFIG)
    with pytest.raises(InputError, match="missing encoder/layer_1/LayerNorm/bias"):
        hf.save_encoder(
            tmp_path / "x", {"encoder": {k: v for k, v in params.items() if k != "layer_1"}}, CONFIG.to_dict()
        )


def test_resolve_finds_directories_and_packages(tmp_path, monkeypatch):
    directory = write(tmp_path / "m")
    assert hf.resolve(str(directory)) == directory
    package = tmp_path / "some_model"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    write(package / "weights")
    monkeypatch.syspath_prepend(tmp_path)
    assert hf.resolve("package:some_model") == package / "weights"
    assert hf.resolve("package:some_model/weights") == package / "weights"
    write(package / "other")
    with pytest.raises(InputError, match="package:some_model/other, package:some_model/weights"):
        hf.resolve("package:some_model")
    assert "some_model" not in sys.modules


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("./nowhere", "does not exist"),
        ("/nowhere/at/all", "does not exist"),
        ("~/nowhere/at/all", "does not exist"),
        ("package:no_such_package", "no package no_such_package is installed"),
        ("package:json.decoder", "is not understood"),
        ("package:json/../os", "is not understood"),
        ("package:json", "one folder must hold"),
        ("a/b/c", "neither a directory"),
        ("", "neither a directory"),
        ("x" * 5000, "is no usable path"),
    ],
)
def test_resolve_refuses(model, message):
    with pytest.raises(InputError, match=message) as error:
        hf.resolve(model)
    assert "\n" not in str(error.value)


def test_a_hub_id_downloads_no_pickle_and_fails_in_one_line(tmp_path, monkeypatch):
    asked = []

    def snapshot_download(name, **options):
        asked.append((name, options))
        if name != "owner/name":
            raise OSError("no route\nto host")
        return str(tmp_path)

    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(snapshot_download=snapshot_download))
    assert hf.resolve("owner/name@abc") == tmp_path
    (_, how_read), (name, options) = asked
    assert how_read == {"revision": "abc", "allow_patterns": ["modules.json", "*_Pooling/config.json"]}
    assert (name, options["revision"]) == ("owner/name", "abc")
    assert set(options["allow_patterns"]) == {"*.safetensors", "*.json", "vocab.txt"}
    assert hf.resolve("owner/name@abc") == hf.resolve("owner/name@abc", whole=False) == tmp_path
    assert len(asked) == 3, "a hub is asked once a process, and for no weights where they are not needed"
    with pytest.raises(InputError, match=r"no route to host.*give a directory or package:NAME"):
        hf.resolve("bert-large-uncased")


def test_transformers_is_not_imported():
    import subprocess

    code = "import sys, stablefit.models.hf; assert not {'transformers', 'huggingface_hub', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
