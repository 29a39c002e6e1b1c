"""RoBERTa, XLM-R and CamemBERT: BERT's blocks; positions count from behind the padding index.

Liu et al., "RoBERTa: A Robustly Optimized BERT Pretraining Approach", 2019; Conneau et al., 2020; Martin et al., 2020.
The classifier reads dropout, a dense layer and tanh of the first hidden state. That layer belongs to the task: no
pre-trained file has it, so it always starts anew, and what a file calls its pooler is left aside, as transformers does.
"""

import dataclasses
from typing import ClassVar

from stablefit.models.config import EncoderConfig, whole
from stablefit.models.encoder import Encoder
from stablefit.models.families import bert
from stablefit.models.families.family import Family, dense


@dataclasses.dataclass(frozen=True)
class RobertaConfig(EncoderConfig):
    """The defaults are those of transformers."""

    pad_token_id: int = whole(1, least=0)
    model_type: str = "roberta"

    @property
    def longest(self) -> int:
        return self.max_position_embeddings - self.first_position

    @property
    def first_position(self) -> int:
        return self.pad_token_id + 1


class RobertaEncoder(Encoder):
    """`pool` has dropout in front."""

    pools_dropped: ClassVar[bool] = True


FAMILY = Family(
    title="RoBERTa",
    config=RobertaConfig,
    encoder=RobertaEncoder,
    classes={"roberta": "Roberta", "xlm-roberta": "XLMRoberta", "camembert": "Camembert"},
    prefix="roberta.",
    embeddings=bert.embeddings,
    block=bert.block,
    pooler=lambda config: dense("pooler", "classifier.dense", "DD"),
    pooler_outside=True,
    classifier="classifier.out_proj",
    aside=r"(?:lm_head|classifier|pooler|qa_outputs)\..*|embeddings\.position_ids",
)
