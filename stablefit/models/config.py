"""The sizes of an encoder, as its config.json gives them; a family's own are a subclass."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp

from stablefit.errors import InputError


def _gelu(x: jax.Array) -> jax.Array:
    return jax.nn.gelu(x, approximate=False)


def _gelu_tanh(x: jax.Array) -> jax.Array:
    return jax.nn.gelu(x, approximate=True)


# Under all the names that transformers has for them.
ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "gelu": _gelu,
    "gelu_new": _gelu_tanh,
    "relu": jax.nn.relu,
    "gelu_python": _gelu,
    "gelu_fast": _gelu_tanh,
    "gelu_pytorch_tanh": _gelu_tanh,
    "gelu_accurate": _gelu_tanh,
    "quick_gelu": lambda x: x * jax.nn.sigmoid(1.702 * x),
    "silu": jax.nn.silu,
    "swish": jax.nn.silu,
    "mish": jax.nn.mish,
    "tanh": jnp.tanh,
}


def whole(default: Any = dataclasses.MISSING, *, least: int = 1, most: int = 10_000_000) -> Any:
    """A field of config.json that is a whole number, and between what."""
    return dataclasses.field(default=default, metadata={"least": least, "most": most})


def one_of(default: Any, *allowed: Any) -> Any:
    """A field of config.json that has one of a few values."""
    return dataclasses.field(default=default, metadata={"allowed": allowed})


@dataclasses.dataclass(frozen=True)
class EncoderConfig:
    """The sizes of an encoder, under the names of Hugging Face's config.json; the defaults are BERT's.

    A family that has more, or other defaults, is a subclass. What every family's encoder has under these names:
    `vocab_size` rows of the token table, `num_hidden_layers` blocks, `hidden_size` of the hidden states,
    `initializer_range` of what starts anew.
    """

    vocab_size: int = whole()
    hidden_size: int = whole()
    num_hidden_layers: int = whole(most=1000)
    num_attention_heads: int = whole()
    intermediate_size: int = whole()
    max_position_embeddings: int = whole(512)
    type_vocab_size: int = whole(2)
    layer_norm_eps: float = 1e-12
    initializer_range: float = 0.02
    hidden_act: str = one_of("gelu", *ACTIVATIONS)
    pad_token_id: int = whole(0, least=0)
    model_type: str = "bert"

    # What config.json must say, or leave out, for this encoder to be the right function.
    FIXED: ClassVar[Mapping[str, Any]] = {
        "position_embedding_type": "absolute",
        "is_decoder": False,
        "add_cross_attention": False,
    }
    # Our name -> theirs, where a family's config.json has another.
    THEIRS: ClassVar[Mapping[str, str]] = {}

    @property
    def token_size(self) -> int:
        """Columns of the token table, E."""
        return self.hidden_size

    @property
    def longest(self) -> int:
        """The most tokens that an example may have."""
        return self.max_position_embeddings

    @property
    def reads_mean(self) -> bool:
        """Whether the family's own classifier reads the mean of the hidden states, in place of the first."""
        return False

    @property
    def ends_with(self) -> int | None:
        """The token that every text must end with; None: any."""
        return None

    @property
    def first_position(self) -> int:
        """The row of the table of positions that an example's first token has."""
        return 0

    @classmethod
    def from_dict(cls, config_json: Mapping[str, Any], source: str = "config.json") -> Self:
        """Read and check the fields of a config.json; fields that do not concern the encoder are ignored.

        Args:
            config_json: the parsed file.
            source: the name of the file, for messages.

        Raises:
            InputError: a field is missing, of the wrong type, out of range, or asks for another architecture.
        """
        for name, allowed in cls.FIXED.items():
            if config_json.get(name, allowed) != allowed:
                raise InputError(f"{source}: {name}={config_json[name]!r} is not supported, allowed: {allowed!r}")
        values = {}
        for field in dataclasses.fields(cls):
            if not field.init or "own" in field.metadata:  # of one value in this family, or read by its own rules
                continue
            theirs = cls.THEIRS.get(field.name, field.name)
            value = config_json.get(theirs)
            if value is None and (field.name == "pad_token_id" or theirs not in config_json):
                if field.default is dataclasses.MISSING:
                    raise InputError(f"{source}: {theirs} is missing, it must be a whole number of at least 1")
            elif field.name == "model_type":
                values[field.name] = value
            else:
                values[field.name] = _checked(theirs, field, value, source)
        config = cls(**values)
        if config.hidden_size % config.num_attention_heads:
            theirs = {name: cls.THEIRS.get(name, name) for name in ("hidden_size", "num_attention_heads")}
            raise InputError(
                f"{source}: {theirs['hidden_size']}={config.hidden_size} is no multiple of"
                f" {theirs['num_attention_heads']}={config.num_attention_heads}"
            )
        return config

    def to_dict(self) -> dict[str, Any]:
        """The fields under the names of config.json."""
        fixed = {name: value for name, value in self.FIXED.items() if name == "position_embedding_type"}
        own = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.init}
        return {**fixed, **{self.THEIRS.get(name, name): value for name, value in own.items()}}


def _checked(name: str, field: dataclasses.Field[Any], value: Any, source: str) -> Any:
    """A value of config.json, or InputError with what is allowed."""
    if "allowed" in field.metadata:
        allowed = field.metadata["allowed"]
        if not any(value == one and isinstance(value, type(one)) for one in allowed):
            raise InputError(f"{source}: {name}={value!r} is not supported, allowed: {', '.join(map(str, allowed))}")
        return value
    if field.type is bool:
        if not isinstance(value, bool):
            raise InputError(f"{source}: {name}={value!r} is not allowed, it must be true or false")
        return value
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if field.type is float:
        if not (number and 0.0 < value <= 1.0):
            raise InputError(f"{source}: {name}={value!r} is not allowed, it must be a number above 0, at most 1")
        return float(value)
    least, most = field.metadata["least"], field.metadata["most"]
    if not (number and isinstance(value, int) and least <= value <= most):
        raise InputError(f"{source}: {name}={value!r} is not allowed, it must be a whole number, {least} to {most}")
    return value
