"""What PyTorch's transformers compute for `tests/models/family_cases.py`: python -m tests.golden.make_families.

Needs torch and transformers. Of each case: hidden states, logits of a sequence and of a token classifier, and the
gradient of the sequence classifier's mean cross-entropy by name. The weights are a function of the names.
"""

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
    state = {name: tuple(value.shape) for name, value in model.state_dict().items() if "position_ids" not in name}
    arrays = {name: torch.tensor(array) for name, array in cases.weights(state).items()}
    missing, unexpected = model.load_state_dict(arrays, strict=False)
    assert not unexpected, unexpected
    assert all("position_ids" in name for name in missing), missing
    return model.eval()


def outputs(model: Any, inputs: dict[str, np.ndarray], *, gradient: bool) -> dict[str, np.ndarray]:
    """The last hidden states, the logits and, if asked, the gradient by name."""
    import inspect

    import torch

    given = {"input_ids": inputs["tokens"], "attention_mask": inputs["segments"]}
    if "token_type_ids" in inspect.signature(model.forward).parameters:
        given["token_type_ids"] = inputs["types"]
    tensors = {name: torch.tensor(array).long() for name, array in given.items()}
    model.zero_grad()
    with torch.set_grad_enabled(gradient):
        result = model(**tensors, output_hidden_states=True)
        found = {"logits": result.logits.detach().numpy(), "hidden": result.hidden_states[-1].detach().numpy()}
        if gradient:
            loss = torch.nn.functional.cross_entropy(result.logits, torch.tensor(inputs["labels"]).long())
            loss.backward()
            grads = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
            found |= {f"gradient/{name}": grad.numpy() for name, grad in grads.items()}
    base = model.base_model(**tensors, output_hidden_states=False)
    found["hidden"] = base.last_hidden_state.detach().numpy()
    return found


def main() -> None:
    arrays = {}
    for name, config_json in cases.CASES.items():
        batch = cases.batch(config_json)
        found = outputs(torch_model(config_json, "SequenceClassification"), batch, gradient=True)
        arrays |= {f"{name}/{key}": value for key, value in found.items()}
        tags = outputs(torch_model(config_json, "TokenClassification"), batch, gradient=False)
        arrays[f"{name}/tag_logits"] = tags["logits"]
        print(name, sum(value.size for key, value in arrays.items() if key.startswith(f"{name}/")))
    np.savez_compressed(FILE, **arrays)


if __name__ == "__main__":
    main()
