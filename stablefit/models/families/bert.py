"""BERT: Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding", 2019.

The encoder is `models.encoder.Encoder` as it stands. What other families share of its names is here, too.
"""

from stablefit.models.config import EncoderConfig
from stablefit.models.encoder import Encoder
from stablefit.models.families.family import Family, Row, dense, norm, table


def embeddings(config: EncoderConfig) -> list[Row]:
    """BERT's names of the tables; without that of token types where a family has none."""
    types = table("embeddings/token_type_embeddings", "embeddings.token_type_embeddings", "SE")
    return [
        *table("embeddings/word_embeddings", "embeddings.word_embeddings", "VE"),
        *table("embeddings/position_embeddings", "embeddings.position_embeddings", "PE"),
        *(types if config.type_vocab_size else []),
        *norm("embeddings/LayerNorm", "embeddings.LayerNorm", "E"),
    ]


def block(config: EncoderConfig, index: int) -> list[Row]:
    """BERT's names of a block."""
    del config, index  # all are alike
    ours, theirs = "layer_{i}", "encoder.layer.{i}"
    return [
        *dense(f"{ours}/attention/query", f"{theirs}.attention.self.query", "DD"),
        *dense(f"{ours}/attention/key", f"{theirs}.attention.self.key", "DD"),
        *dense(f"{ours}/attention/value", f"{theirs}.attention.self.value", "DD"),
        *dense(f"{ours}/attention/output", f"{theirs}.attention.output.dense", "DD"),
        *norm(f"{ours}/attention/LayerNorm", f"{theirs}.attention.output.LayerNorm"),
        *dense(f"{ours}/intermediate", f"{theirs}.intermediate.dense", "DF"),
        *dense(f"{ours}/output", f"{theirs}.output.dense", "FD"),
        *norm(f"{ours}/LayerNorm", f"{theirs}.output.LayerNorm"),
    ]


FAMILY = Family(
    title="BERT",
    config=EncoderConfig,
    encoder=Encoder,
    classes={"bert": "Bert"},
    prefix="bert.",
    embeddings=embeddings,
    block=block,
    pooler=lambda config: dense("pooler", "pooler.dense", "DD"),
)
