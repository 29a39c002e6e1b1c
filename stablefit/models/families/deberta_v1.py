"""DeBERTa, the first version: `deberta.py` without buckets, with one kernel for query, key and value.

He et al., "DeBERTa: Decoding-enhanced BERT with Disentangled Attention", 2021. The kernel [D, 3D] has query, key and
value of a head side by side, head after head. Queries and values have a bias; keys, and those of distances, have none.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, ClassVar

import flax.linen as nn
import jax

from stablefit.models.blocks import Attention, Dense, Product
from stablefit.models.config import EncoderConfig
from stablefit.models.families import deberta
from stablefit.models.families.family import Row, dense
from stablefit.models.matmul import DType
from stablefit.models.matmul import dense as product


@dataclasses.dataclass(frozen=True)
class DebertaV1Config(deberta.DebertaConfig):
    """What this version does not have stays as it is, whatever a file says, as in transformers."""

    model_type: str = "deberta"
    position_buckets: int = dataclasses.field(default=-1, init=False)
    share_att_key: bool = dataclasses.field(default=False, init=False)
    norm_rel_ebd: str = dataclasses.field(default="none", init=False)
    conv_kernel_size: int = dataclasses.field(default=0, init=False)
    conv_act: str = dataclasses.field(default="tanh", init=False)

    FIXED: ClassVar[Mapping[str, Any]] = {"talking_head": False}


class Fused(nn.Module):
    """`x W_i + b_i` for part i of three: query, key, value."""

    heads: int
    std: float
    dtype: DType

    @nn.compact
    def __call__(self, x: jax.Array, part: int) -> jax.Array:
        size = x.shape[-1]
        kernel_Dx3D = self.param("kernel", nn.initializers.normal(self.std), (size, 3 * size))
        q_bias_D, v_bias_D = (self.param(name, nn.initializers.zeros, (size,)) for name in ("q_bias", "v_bias"))
        mine_DxD = kernel_Dx3D.reshape(size, self.heads, 3, -1)[:, :, part].reshape(size, size)
        y = product(x, mine_DxD, self.dtype)
        bias_D = (q_bias_D, None, v_bias_D)[part]
        return y if bias_D is None else y + bias_D.reshape((1,) * (x.ndim - 1) + (-1,))


class FusedAttention(deberta.DisentangledAttention):
    """`DisentangledAttention` whose queries, keys and values come of one kernel."""

    def setup(self) -> None:
        c = self.config
        self.in_proj = Fused(c.num_attention_heads, c.initializer_range, self.dtype)

    def product(self, name: str) -> Product:
        if name in (parts := ("query", "key", "value")):
            return functools.partial(self.in_proj, part=parts.index(name))
        c = self.config
        return Dense(c.hidden_size, c.initializer_range, self.dtype, use_bias=name != "pos_key", name=name)


class DebertaV1Encoder(deberta.DebertaEncoder):
    """As of the second version, with the attention above."""

    attention: ClassVar[type[Attention]] = FusedAttention


def _block(config: EncoderConfig, index: int) -> list[Row]:
    ours, theirs = "layer_{i}/attention", "encoder.layer.{i}.attention.self"
    fused = (*(f"{ours}/{name}/" for name in ("query", "key", "value")), f"{ours}/pos_")
    assert isinstance(config, DebertaV1Config)
    kinds = config.pos_att_type.split("|") if config.relative_attention else []
    return [
        *dense(f"{ours}/in_proj", f"{theirs}.in_proj", "D3", bias=False),
        *((f"{ours}/in_proj/{name}", f"{theirs}.{name}", "D") for name in ("q_bias", "v_bias")),
        *(dense(f"{ours}/pos_key", f"{theirs}.pos_proj", "DD", bias=False) if "c2p" in kinds else []),
        *(dense(f"{ours}/pos_query", f"{theirs}.pos_q_proj", "DD") if "p2c" in kinds else []),
        *(row for row in deberta.FAMILY.block(config, index) if not row[0].startswith(fused)),
    ]


FAMILY = dataclasses.replace(
    deberta.FAMILY,
    title="DeBERTa v1",
    config=DebertaV1Config,
    encoder=DebertaV1Encoder,
    classes={"deberta": "Deberta"},
    block=_block,
    axes=lambda config: {**deberta.FAMILY.axes(config), "3": 3 * config.hidden_size},
    mean="",
)
