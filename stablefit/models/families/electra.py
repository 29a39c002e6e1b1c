"""ELECTRA's discriminator: BERT's blocks behind a projection of narrower embeddings.

Clark et al., "ELECTRA: Pre-training Text Encoders as Discriminators Rather Than Generators", 2020.
The classifier reads dropout, a dense layer and gelu of the first hidden state; that layer always starts anew.
"""

import dataclasses
from typing import ClassVar

import flax.linen as nn

from stablefit.models.blocks import Embeddings
from stablefit.models.config import EncoderConfig, whole
from stablefit.models.encoder import Encoder
from stablefit.models.families import bert
from stablefit.models.families.family import Family, Row, dense


@dataclasses.dataclass(frozen=True)
class ElectraConfig(EncoderConfig):
    """`embedding_size` columns of the tables, projected to `hidden_size` where the two differ."""

    embedding_size: int = whole(128)
    model_type: str = "electra"

    @property
    def token_size(self) -> int:
        return self.embedding_size


class ElectraEncoder(Encoder):
    """`pool` has dropout in front and gelu behind."""

    pools_dropped: ClassVar[bool] = True

    def make_embeddings(self) -> nn.Module:
        c = self.config
        project = "behind" if c.token_size != c.hidden_size else ""
        return Embeddings(c, self.dropout, self.checked, self.dtype, project)

    @property
    def pooler_activation(self) -> str:
        return "gelu"


def _embeddings(config: EncoderConfig) -> list[Row]:
    project = dense("embeddings/project", "embeddings_project", "ED")
    return [*bert.embeddings(config), *(project if config.token_size != config.hidden_size else [])]


FAMILY = Family(
    title="ELECTRA",
    config=ElectraConfig,
    encoder=ElectraEncoder,
    classes={"electra": "Electra"},
    prefix="electra.",
    embeddings=_embeddings,
    block=bert.block,
    pooler=lambda config: dense("pooler", "classifier.dense", "DD"),
    pooler_outside=True,
    classifier="classifier.out_proj",
    aside=r"(?:classifier|qa_outputs|\w+_predictions|generator_lm_head)\..*|embeddings\.position_ids",
)
