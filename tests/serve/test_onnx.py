"""model.onnx: the model's logits at any shape, what lies there when they differ, and what is said where it cannot be.

What converts and runs it is not among what stablefit's tests install: `stablefit.serve.onnx_export.INSTALL` says how.
"""

import importlib.util
import sys

import numpy as np
import pytest

from stablefit.commands import export as command
from stablefit.serve import export, model, onnx_export
from tests.serve import making

MISSING = [name for name in ("onnx", "onnxruntime", "jax2onnx") if importlib.util.find_spec(name) is None]
# Their warnings are theirs.
converted = [
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}; {onnx_export.INSTALL}"),
    pytest.mark.filterwarnings("default"),
]


def marked(function):
    for mark in converted:
        function = mark(function)
    return function


def session_of(folder):
    import onnxruntime

    return onnxruntime.InferenceSession(str(folder / onnx_export.FILE), providers=["CPUExecutionProvider"])


def padded(loaded, texts, second=None, extra=0):
    """What a person feeds: a batch padded to its longest text, and beyond."""
    e = loaded.encode(texts, second)
    width = int(e.lengths.max())
    arrays = {"input_ids": e.tokens, "attention_mask": e.segments, "token_type_ids": e.types}
    return {name: np.pad(a[:, :width], ((0, 0), (0, extra))).astype(np.int64) for name, a in arrays.items()}


CASES = [
    ("classification", "mean", False),
    ("classification", "cls", False),
    ("classification", "pooler", True),
    ("multilabel", "mean", False),
    ("regression", "mean", True),
]


@marked
@pytest.mark.parametrize(("kind", "pooling", "pair"), CASES)
def test_logits_of_texts(tmp_path, tiny_root, capsys, kind, pooling, pair):
    source = making.write_fit(tmp_path / "fit", making.bundle(tiny_root / "model", kind, pooling=pooling, pair=pair))
    assert command.main([str(source), str(tmp_path / "out"), "--onnx"]) == 0
    assert "ONNX Runtime gives the same logits" in capsys.readouterr().out
    ours, session = model.load(source), session_of(tmp_path / "out")
    assert [(one.name, one.type) for one in session.get_inputs()] == [(n, "tensor(int64)") for n in onnx_export.INPUTS]
    assert [one.name for one in session.get_outputs()] == ["logits"]
    for texts, extra in ((["w1"], 0), (["w1", "w3 w4 w5 w9 w11", "w2 w2 w7 [SEP]"], 0), (["w4 w5", "", "w1 " * 40], 7)):
        second = texts[::-1] if pair else None
        [found] = session.run(["logits"], padded(ours, texts, second, extra))
        assert found.shape == (len(texts), len(making.LABELS[kind]) or 1)
        np.testing.assert_allclose(found, ours.outputs(texts, second)[0], atol=1e-5)
    # The directory is still what transformers and stablefit open.
    np.testing.assert_allclose(model.load(tmp_path / "out").outputs(["w1"], ["w2"] if pair else None), atol=1e-5,
                               desired=ours.outputs(["w1"], ["w2"] if pair else None))  # fmt: skip


@marked
@pytest.mark.parametrize("pieces", ["word", "text"])
def test_logits_of_a_tagger_are_those_of_its_directory(tmp_path, tiny_root, pieces):
    source = making.write_fit(tmp_path / "fit", making.bundle(tiny_root / "model", "tagging", pieces=pieces))
    [_, said] = export.export(source, tmp_path / "out", onnx=True)
    assert said.startswith("model.onnx: ONNX Runtime gives the same logits")
    assert (tmp_path / "out" / model.CRF).is_file()
    ours, texts = model.load(source), ["w1 w2, w3w4 w5", "w6 w7 w8"]
    [logits] = session_of(tmp_path / "out").run(["logits"], padded(ours, texts))
    documents = ours.documents(texts)
    assert logits.shape[2] == len(making.LABELS["tagging"])
    for text, emissions in enumerate(ours.emissions(documents)):
        read = ours.encode(texts).words[text, : len(documents.words[text])]
        first = np.flatnonzero(np.diff(read, prepend=-1))
        np.testing.assert_allclose(logits[text, read[first]], emissions[0, first], atol=1e-5)


@marked
def test_each_member_has_one(tmp_path, tiny_root):
    source = making.write_fit(tmp_path / "fit", making.bundle(tiny_root / "model"), members=2)
    export.export(source, tmp_path / "out", onnx=True)
    ours = model.load(source)
    for i in range(2):
        [found] = session_of(tmp_path / "out" / f"member_{i}").run(["logits"], padded(ours, ["w1 w2"]))
        np.testing.assert_allclose(found, ours.outputs(["w1 w2"])[i], atol=1e-5)


@marked
def test_other_logits_leave_nothing(tmp_path, tiny_root, monkeypatch, capsys):
    source = making.write_fit(tmp_path / "fit", making.bundle(tiny_root / "model"))
    right = onnx_export._logits
    for wrong in (1e-3, np.nan):
        monkeypatch.setattr(onnx_export, "_logits", lambda of, by=wrong: lambda *xs: right(of)(*xs) + np.float32(by))
        assert command.main([str(source), str(tmp_path / "out"), "--onnx"]) == 2
        said = capsys.readouterr().err
        assert "model.onnx does not give the model's logits" in said
        assert said.count("\n") == 1
        assert [file.name for file in tmp_path.iterdir()] == ["fit"]

    def broken(*_):
        raise NotImplementedError("no such\noperation")

    monkeypatch.setattr(onnx_export, "_logits", lambda _: broken)
    assert command.main([str(source), str(tmp_path / "out"), "--onnx"]) == 2
    said = capsys.readouterr().err
    assert "jax2onnx cannot convert this model" in said
    assert said.count("\n") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["fit"]


@marked
def test_without_a_runtime_it_is_written_and_said_not_to_be_checked(tmp_path, tiny_root, monkeypatch, capsys):
    source = making.write_fit(tmp_path / "fit", making.bundle(tiny_root / "model"))
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "onnxruntime", None)
        assert command.main([str(source), str(tmp_path / "out"), "--onnx"]) == 0
    assert "model.onnx was not checked: ONNX Runtime is not installed" in capsys.readouterr().out
    assert session_of(tmp_path / "out").run(None, padded(model.load(source), ["w1"]))


@marked
@pytest.mark.parametrize("kind", ["classification", "pair", "tagging"])
def test_the_cards_code_runs(tmp_path, tiny_root, monkeypatch, kind):
    changes = {"pair": True} if kind == "pair" else {}
    of = making.bundle(tiny_root / "model", "classification" if kind == "pair" else kind, **changes)
    export.export(making.write_fit(tmp_path / "fit", of), tmp_path / "out", onnx=True)
    [block] = [one for one in (tmp_path / "out" / "README.md").read_text().split("```python\n") if "onnxruntime" in one]
    monkeypatch.chdir(tmp_path / "out")
    names = {}
    exec(block.split("```")[0], names)
    assert names["logits"].shape[0] == (1 if kind == "pair" else 2)


@pytest.mark.parametrize("name", ["jax2onnx", "onnx"])
def test_what_is_not_installed_is_said_before_anything_is_done(tmp_path, tiny_root, monkeypatch, capsys, name):
    source = making.write_fit(tmp_path / "fit", making.bundle(tiny_root / "model"))
    for other in ("jax2onnx", "onnx"):
        monkeypatch.setitem(sys.modules, other, None if other == name else sys)
    assert command.main([str(source), str(tmp_path / "out"), "--onnx"]) == 2
    said = capsys.readouterr().err
    assert name in said
    assert "pip install onnx onnx-ir onnxruntime; pip install --no-deps jax2onnx" in said
    assert said.count("\n") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["fit"]
