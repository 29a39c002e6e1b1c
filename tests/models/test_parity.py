"""Live comparison with PyTorch transformers: `pytest -m parity tests/models/test_parity.py`."""

import json
import shlex
import subprocess
import sys

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file

from stablefit.models import hf, hf_export
from stablefit.models.encoder import Encoder
from stablefit.models.heads import SequenceClassifier
from tests.golden import make_encoder as golden
from tests.golden import make_families
from tests.models import family_cases as cases
from tests.models import test_families, test_family_rules
from tests.models.test_encoder import assert_gradients_close, inputs_of, loss_of, params_from

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("default"),
]  # torch's and transformers' warnings are theirs

BASE = {
    "model_type": "bert",
    "vocab_size": 2000,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "max_position_embeddings": 64,
    "type_vocab_size": 2,
    "initializer_range": 0.02,
}


@pytest.fixture(scope="module", autouse=True)
def torch():
    return pytest.importorskip("torch", reason="parity needs PyTorch")


def compare(config_json, weights, lengths, width):
    """Largest absolute differences: hidden states of real tokens, logits; gradient over the largest gradient."""
    batch = golden.batch(config_json["vocab_size"], lengths, width)
    theirs = golden.torch_outputs(golden.torch_model(config_json, weights), batch)
    config = hf.read_config(config_json)
    params = params_from({name.removeprefix("bert."): array for name, array in weights.items()}, config)
    model = SequenceClassifier(config, golden.NUM_LABELS)

    @jax.jit
    def everything(params):
        hidden = Encoder(config).apply({"params": params["encoder"]}, *inputs_of(batch), deterministic=True)
        logits = model.apply({"params": params}, *inputs_of(batch), deterministic=True)
        return hidden, logits, jax.grad(loss_of(model, batch))(params)

    hidden, logits, gradient = everything(params)
    real = batch["segments"].astype(bool)
    gradients = {k.removeprefix("gradient/"): v for k, v in theirs.items() if k.startswith("gradient/")}
    found = {
        "hidden": float(np.abs(hidden - theirs["hidden"][-1])[real].max()),
        "logits": float(np.abs(logits - theirs["logits"]).max()),
        "gradient": assert_gradients_close(gradient, gradients, config, 1e-5),
    }
    print("parity", json.dumps(found))
    assert found["hidden"] <= 2e-5
    assert found["logits"] <= 1e-5


def test_minilm():
    directory = hf.resolve(golden.MINILM)
    weights = load_file(directory / "model.safetensors")
    weights.pop("embeddings.position_ids")
    config = json.loads((directory / "config.json").read_text())
    compare(config, weights | golden.head_weights(384), (64, 50, 33, 7), 64)


def test_random_bert_base(torch):
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    random = np.random.default_rng(0)
    state = BertModel(BertConfig(**BASE)).state_dict()
    weights = {name: tensor.numpy() for name, tensor in state.items() if not name.endswith("position_ids")}
    for name, array in weights.items():
        if array.ndim == 1:  # biases and LayerNorms start at 0 and 1, which would hide mistakes
            weights[name] = (array + 0.05 * random.standard_normal(array.shape)).astype(np.float32)
    compare(BASE, weights | golden.head_weights(768), (48, 31, 5), 48)


def test_torch_loads_an_export(tmp_path, torch):
    from transformers import BertForSequenceClassification

    config = hf.read_config(golden.TINY_CONFIG)
    params = params_from(golden.tiny_weights() | golden.head_weights(16), config)
    hf.save_encoder(tmp_path, params, config.to_dict())
    model, report = BertForSequenceClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values()), report
    theirs = golden.torch_outputs(model, golden.TINY_BATCH)["logits"]
    apply = jax.jit(SequenceClassifier(config, 3).apply, static_argnames="deterministic")
    ours = apply({"params": params}, *inputs_of(golden.TINY_BATCH), deterministic=True)
    assert np.abs(ours - theirs).max() <= 1e-5


def test_the_conversion_in_the_message_works(tmp_path, torch):
    config = hf.read_config(golden.TINY_CONFIG)
    place = tmp_path / "it's here"
    place.mkdir()
    torch.save({k: torch.tensor(v) for k, v in golden.tiny_weights().items()}, place / "pytorch_model.bin")
    with pytest.raises(hf.InputError) as error:
        hf.load_encoder(place, config)
    command = shlex.split(str(error.value).split("where torch is: ")[1])
    subprocess.run([sys.executable, *command[1:]], check=True)
    params, _ = hf.load_encoder(place, config)
    np.testing.assert_array_equal(params["pooler"]["bias"], golden.tiny_weights()["pooler.dense.bias"])


@pytest.mark.parametrize(("name", "pooling"), [(name, pooling) for name, pooling in test_family_rules.STOCK])
def test_torch_reads_every_family_as_we_do(name, pooling, tmp_path, torch):
    from transformers import AutoModelForSequenceClassification

    config = test_families.config_of(name)
    params = test_family_rules.reading(name, pooling)
    try:
        stock, deeper = hf_export.stock(params, config, pooling)
    except hf.InputError:
        pytest.skip("this family's classifier has no such reading")
    hf.save_encoder(tmp_path, stock, cases.CASES[name] | deeper.to_dict())
    model, report = AutoModelForSequenceClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values()), report
    batch = cases.batch(cases.CASES[name])
    theirs = make_families.outputs(model.eval(), batch, gradient=False)["logits"]
    apply = jax.jit(SequenceClassifier(config, 3, pool=pooling).apply, static_argnames="deterministic")
    ours = apply({"params": params}, *inputs_of(batch), deterministic=True)
    pooler = stock["encoder"]["pooler"]
    biases = pooler.get("bias", pooler.get("dense", {}).get("bias", 0))
    shifted = float(np.abs(params["head"]["kernel"]).sum(0).max()) if np.any(biases) else 0.0
    assert np.abs(ours - theirs).max() <= 1e-5 + 2.0**-18 * shifted  # half a unit in the last place of h + SHIFT


@pytest.mark.parametrize("name", test_families.NAMES)
def test_golden_arrays_are_what_torch_computes_today(name):
    with np.load(make_families.FILE, allow_pickle=False) as file:
        stored = {key.removeprefix(f"{name}/"): file[key] for key in file.files if key.startswith(f"{name}/")}
    model = make_families.torch_model(cases.CASES[name], "SequenceClassification")
    found = make_families.outputs(model, cases.batch(cases.CASES[name]), gradient=True)
    assert set(stored) - {"tag_logits"} == set(found)
    for key, value in found.items():
        np.testing.assert_allclose(value, stored[key], rtol=1e-4, atol=1e-6, err_msg=key)
