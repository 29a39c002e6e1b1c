"""MPNet: BERT's blocks with relative positions, in buckets, added to the scores of all of them.

Song et al., "MPNet: Masked and Permuted Pre-training for Language Understanding", 2020; the buckets are T5's. The
classifier is RoBERTa's: dropout, a dense layer that always starts anew, tanh. What a file calls pooler is left aside.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from stablefit.models.blocks import Places, Table
from stablefit.models.config import EncoderConfig, whole
from stablefit.models.encoder import Encoder
from stablefit.models.families import bert
from stablefit.models.families.family import Family, Row, dense, table

_FARTHEST = 128  # all distances from here on share a bucket
_BUCKETS = 32  # transformers has so many, however many rows its table has


@dataclasses.dataclass(frozen=True)
class MPNetConfig(EncoderConfig):
    """Positions count from 2, whatever the padding index is; there are no token types."""

    vocab_size: int = whole(30527)
    hidden_size: int = whole(768)
    num_hidden_layers: int = whole(12, most=1000)
    num_attention_heads: int = whole(12)
    intermediate_size: int = whole(3072)
    type_vocab_size: int = dataclasses.field(default=0, init=False)
    relative_attention_num_buckets: int = whole(_BUCKETS, least=_BUCKETS)
    pad_token_id: int = whole(1, least=0)
    model_type: str = "mpnet"

    FIXED: ClassVar[Mapping[str, Any]] = {}

    @property
    def longest(self) -> int:
        return self.max_position_embeddings - self.first_position

    @property
    def first_position(self) -> int:
        return 2


def buckets(length: int) -> np.ndarray:
    """The bucket of each pair of places, int [Q, S]: half of them for sources behind the query, half of these exact.

    bucket(d) = |d| below 8, else 8 + floor(8 log(|d| / 8) / log(16)), at most 15; and 16 more for a source behind the
    query.
    """
    distance = np.arange(length)[:, None] - np.arange(length)[None, :]  # of a query from its source
    half = _BUCKETS // 2
    exact = half // 2
    far = np.maximum(np.abs(distance), 1).astype(np.float32) / np.float32(exact)
    share = np.log(far) / np.float32(math.log(_FARTHEST / exact))
    logarithmic = np.minimum(exact + (share * (half - exact)).astype(np.int64), half - 1)
    inside = np.where(np.abs(distance) < exact, np.abs(distance), logarithmic)
    return np.where(distance < 0, half, 0) + inside


class MPNetEncoder(Encoder):
    """Tokens of one example stand side by side in a row, so the distance of two is that of their columns."""

    pools_dropped: ClassVar[bool] = True

    def setup(self) -> None:
        super().setup()
        c = self.config
        assert isinstance(c, MPNetConfig)
        rows, heads = c.relative_attention_num_buckets, c.num_attention_heads
        # Its name says that it belongs to what stands before the blocks, for layer-wise decay too.
        self.relative_embeddings = Table(rows, heads, c.initializer_range, self.checked)

    def context(self, same_Bx1xQxS: jax.Array, positions_BxT: jax.Array | None, deterministic: bool) -> Places:
        buckets_QxS = jnp.asarray(buckets(same_Bx1xQxS.shape[-1]))
        bias_QxSxH = self.relative_embeddings(buckets_QxS)
        return Places(same_Bx1xQxS, jnp.moveaxis(bias_QxSxH, -1, 0)[None])


def _embeddings(config: EncoderConfig) -> list[Row]:
    return [*bert.embeddings(config), *table("relative_embeddings", "encoder.relative_attention_bias", "RH")]


def _block(config: EncoderConfig, index: int) -> list[Row]:
    renamed = {"self.query": "attn.q", "self.key": "attn.k", "self.value": "attn.v", "output.dense": "attn.o"}
    rows = []
    for ours, theirs, axes in bert.block(config, index):
        if "/attention/" in ours:
            theirs = theirs.replace("attention.output.LayerNorm", "attention.LayerNorm")
            for old, new in renamed.items():
                theirs = theirs.replace(f"attention.{old}", f"attention.{new}")
        rows.append((ours, theirs, axes))
    return rows


def _axes(config: EncoderConfig) -> dict[str, int]:
    assert isinstance(config, MPNetConfig)
    return {"R": config.relative_attention_num_buckets, "H": config.num_attention_heads}


FAMILY = Family(
    title="MPNet",
    config=MPNetConfig,
    encoder=MPNetEncoder,
    classes={"mpnet": "MPNet"},
    prefix="mpnet.",
    embeddings=_embeddings,
    block=_block,
    pooler=lambda config: dense("pooler", "classifier.dense", "DD"),
    pooler_outside=True,
    classifier="classifier.out_proj",
    aside=r"(?:lm_head|classifier|pooler|qa_outputs)\..*|embeddings\.position_ids",
    axes=_axes,
    mean="",
)
