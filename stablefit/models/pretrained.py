"""A pre-trained encoder by name: its parameters and its sizes."""

from stablefit.models import hf, sources
from stablefit.models.config import EncoderConfig
from stablefit.paths import Tree


def load_pretrained(model: str) -> tuple[Tree, EncoderConfig]:
    """The parameters of an encoder, float32, and its configuration.

    Args:
        model: a directory, a hub id, or package:NAME of an installed package, as config.model.

    Raises:
        InputError: there is no such model, or its files cannot be used.
    """
    directory = sources.resolve(model)
    config = hf.load_config(directory)
    return hf.load_encoder(directory, config)[0], config
