"""The encoders people use: a file a family. `read_config` finds a directory's, `family_of` that of a config."""

from collections.abc import Mapping
from typing import Any

from stablefit.errors import InputError
from stablefit.models.config import EncoderConfig
from stablefit.models.families import (
    albert,
    bart,
    bert,
    deberta,
    deberta_v1,
    distilbert,
    electra,
    modernbert,
    mpnet,
    roberta,
    xlnet,
)
from stablefit.models.families.family import Family

_FILES = (bert, roberta, deberta, electra, distilbert, mpnet, albert, modernbert, deberta_v1, xlnet, bart)
FAMILIES = tuple(one.FAMILY for one in _FILES)

_OF_TYPE = {model_type: family for family in FAMILIES for model_type in family.classes}


def read_config(config_json: Mapping[str, Any], source: str = "config.json") -> EncoderConfig:
    """The sizes of an encoder of any family.

    Args:
        config_json: the parsed config.json.
        source: its name, for messages.

    Raises:
        InputError: no family that is known, or a field that its encoder cannot follow.
    """
    allowed = ", ".join(_OF_TYPE)
    if "model_type" not in config_json:
        raise InputError(f"{source}: model_type is missing, allowed: {allowed}{_hint(config_json)}")
    model_type = config_json["model_type"]
    if not isinstance(model_type, str) or model_type not in _OF_TYPE:
        raise InputError(f"{source}: model_type={model_type!r} is not supported, allowed: {allowed}")
    return _OF_TYPE[model_type].config.from_dict(config_json, source)


def family_of(config: EncoderConfig) -> Family:
    """What is particular to the encoder of these sizes."""
    return _OF_TYPE[config.model_type]


def _hint(config_json: Mapping[str, Any]) -> str:
    """The next step for a config.json of something else than a model of transformers."""
    if "peft_type" in config_json or "adapter_len" in config_json:
        return "; this is an adapter's: merge it into its base model and save that (merge_and_unload in peft)"
    if "__version__" in config_json or "modules" in config_json:
        return "; this is sentence-transformers' own file: give the folder that has the model's config.json"
    if any(name in config_json for name in ("hidden_size", "num_hidden_layers")):
        return '; for files of a BERT write "model_type": "bert" into it'
    return "; give the directory of a model that transformers has saved"
