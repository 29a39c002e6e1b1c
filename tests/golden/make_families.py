"""What PyTorch's transformers compute for `tests/models/family_cases.py`: python -m tests.golden.make_families.

Needs torch and transformers. A case that the file has already keeps its arrays; `--anew` makes all of them. Of each
case: hidden states, logits of a sequence and of a token classifier, and the gradient of the sequence classifier's mean
cross-entropy by name. The weights are a function of the names. XLNet is given its padding on the left, as it reads the
last column.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from tests.models import family_cases as cases

FILE = Path(__file__).parent / "families.npz"


def torch_model(config_json: dict[str, Any], kind: str):
    """transformers' model of that kind ("SequenceClassification", "TokenClassification") with our weights."""
    import torch
    import transformers

    known = {name: value for name, value in config_json.items() if name != "model_type"}
    config = transformers.AutoConfig.for_model(
        config_json["model_type"], **known, num_labels=cases.N_LABELS, problem_type="single_label_classification"
    )
    model = getattr(transformers, f"AutoModelFor{kind}").from_config(config, attn_implementation="eager")
    state = {name: tuple(value.shape) for name, value in model.named_parameters()}  # each once: BART ties its tables
    arrays = {name: torch.tensor(array) for name, array in cases.weights(state).items()}
    missing, unexpected = model.load_state_dict(arrays, strict=False)
    assert not unexpected, unexpected
    assert all("position_ids" in name or "embed_tokens" in name for name in missing), missing
    return model.eval()


def outputs(model: Any, inputs: dict[str, np.ndarray], *, gradient: bool) -> dict[str, np.ndarray]:
    """The last hidden states, the logits and, if asked, the gradient by name."""
    import inspect

    import torch

    left, segments = model.config.model_type == "xlnet", inputs["segments"]
    given = {"input_ids": inputs["tokens"], "attention_mask": segments}
    if "token_type_ids" in inspect.signature(model.forward).parameters:
        given["token_type_ids"] = inputs["types"]
    if left:
        given = {name: cases.turned(array, segments) for name, array in given.items()}
    tensors = {name: torch.tensor(array).long() for name, array in given.items()}
    model.zero_grad()
    with torch.set_grad_enabled(gradient):
        result = model(**tensors)
        found = {"logits": result.logits.detach().numpy()}
        if gradient:
            loss = torch.nn.functional.cross_entropy(result.logits, torch.tensor(inputs["labels"]).long())
            loss.backward()
            grads = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
            found |= {f"gradient/{name}": grad.numpy() for name, grad in grads.items()}
    found["hidden"] = model.base_model(**tensors).last_hidden_state.detach().numpy()
    if left:
        found["hidden"] = cases.turned(found["hidden"], segments, back=True)
        if found["logits"].ndim == 3:
            found["logits"] = cases.turned(found["logits"], segments, back=True)
    return found


def main() -> None:
    from transformers.models.auto.modeling_auto import MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES as TAGGERS

    arrays: dict[str, np.ndarray] = {}
    if FILE.is_file() and "--anew" not in sys.argv:
        with np.load(FILE, allow_pickle=False) as file:
            arrays = dict(file)
    for name, config_json in cases.CASES.items():
        if f"{name}/logits" in arrays:
            continue
        batch = cases.batch(config_json)
        found = outputs(torch_model(config_json, "SequenceClassification"), batch, gradient=True)
        arrays |= {f"{name}/{key}": value for key, value in found.items()}
        if config_json["model_type"] in TAGGERS:
            tags = outputs(torch_model(config_json, "TokenClassification"), batch, gradient=False)
            arrays[f"{name}/tag_logits"] = tags["logits"]
        print(name, sum(value.size for key, value in arrays.items() if key.startswith(f"{name}/")))
    np.savez_compressed(FILE, **arrays)


if __name__ == "__main__":
    main()
