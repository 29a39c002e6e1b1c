"""A run of seconds: a random two-block encoder, a vocabulary of forty words, a pair task of sixty-odd examples."""

from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from configs import base
from stablefit.models import hf
from stablefit.models.config import EncoderConfig
from stablefit.models.families import family_of

WORDS = [f"w{i}" for i in range(36)]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]


def write_model(directory: Path, blocks: int = 2, width: int = 8, config: EncoderConfig | None = None) -> Path:
    """A directory as Hugging Face's: config.json, model.safetensors, tokenizer.json.

    Args:
        directory: is made.
        blocks: of BERT's.
        width: of BERT's hidden states.
        config: of another family, in place of BERT's of these sizes; it has as many word pieces as VOCABULARY.
    """
    config = config or EncoderConfig(len(VOCABULARY), width, blocks, 2, 2 * width, max_position_embeddings=32)
    rng = np.random.default_rng(0)
    params: dict[str, Any] = {}
    family = family_of(config)
    bare = family.pooler_outside and not family.encoder.tags_pooled  # as pre-trained models of such a family are
    for entry in hf.name_table(config):
        if bare and entry.is_pooler:
            continue
        value = np.ones(entry.shape) if entry.ours.endswith("scale") else rng.normal(0, 0.3, entry.shape)
        node = params
        *path, leaf = entry.ours.split("/")
        for part in path:
            node = node.setdefault(part, {})
        node[leaf] = value.astype(np.float32)
    hf.save_encoder(directory, {"encoder": params}, config.to_dict())
    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    pair = "[CLS] $A [SEP] $B:1 [SEP]:1" if config.type_vocab_size != 1 else "[CLS] $A [SEP] $B [SEP]"
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair=pair, special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(directory / "tokenizer.json"))
    (directory / "tokenizer_config.json").write_text(
        '{"tokenizer_class": "BertTokenizer", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", '
        '"unk_token": "[UNK]"}'
    )
    return directory


def write_rte(directory: Path, train: int = 42, dev: int = 24) -> Path:
    """A data root with a task RTE: the texts entail each other if they begin with the same word."""
    rng = np.random.default_rng(1)
    folder = directory / "RTE"
    folder.mkdir(parents=True)
    for name, n in (("train", train), ("dev", dev)):
        lines = ["index\tsentence1\tsentence2\tlabel"]
        for i in range(n):
            first, second = (list(rng.choice(WORDS, rng.integers(2, 6))) for _ in range(2))
            if i % 2:
                second[0] = first[0]
            lines.append(f"{i}\t{' '.join(first)}\t{' '.join(second)}\t{'entailment' if i % 2 else 'not_entailment'}")
        (folder / f"{name}.tsv").write_text("\n".join(lines) + "\n")
    return directory


def config(root: Path, **changes: Any) -> ConfigDict:
    """The base config on the tiny model and data under `root`, which `write_model` and `write_rte` made."""
    values = base.get_config()
    values.update(
        model=str(root / "model"),
        data_dir=str(root),
        max_length=16,
        batch_size=8,
        eval_batch_size=8,
        epochs=1.0,
        evaluations=2,
        learning_rate=1e-2,
        keep="best_and_last",  # the last parameters are what tests compare
    )
    values.update(changes)
    return values


TYPES = ("LOC", "PER")


def write_tagging(directory: Path, train: int = 24, test: int = 8) -> Path:
    """A folder of a tagging task: w0, w1, w2 begin a LOC, w3, w4, w5 a PER, and w6 to w11 go on with either."""
    rng = np.random.default_rng(2)
    directory.mkdir(parents=True)
    for name, n in (("train", train), ("test", test)):
        lines: list[str] = []
        for _ in range(n):
            inside = ""
            for number in rng.integers(0, 20, rng.integers(3, 12)):
                tag = "O" if number > 11 or (number > 5 and not inside) else "I-" + inside
                if number < 6:
                    inside = TYPES[number // 3]
                    tag = "B-" + inside
                inside = inside if tag != "O" else ""
                lines.append(f"w{number}\t{tag}")
            lines.append("")
        (directory / f"{name}.bio").write_text("\n".join(lines) + "\n")
    return directory


def write_own(directory: Path, train: int = 48, test: int = 24) -> Path:
    """A folder of somebody's own tables: the label is whether a text begins with w0 to w17; `rare` is one in four."""
    rng = np.random.default_rng(3)
    directory.mkdir(parents=True)
    for name, n in (("train", train), ("test", test)):
        lines = ["number,text,title,label,rare,stars,tags,group"]
        for i in range(n):
            numbers = rng.integers(0, 36, rng.integers(2, 6))
            text, title = (" ".join(f"w{x}" for x in some) for some in (numbers, numbers[::-1] % 7))
            early = numbers[0] < 18
            stars = 1 + numbers[-1] % 5
            tags = ";".join(f"t{x % 3}|t3" for x in numbers[:2])
            label, rare = "early" if early else "late", "yes" if numbers[0] < 9 else "no"
            lines.append(f"n{i},{text},{title},{label},{rare},{stars},{tags},g{i % 7}")
        (directory / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return directory
