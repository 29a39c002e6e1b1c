"""Examples -> token arrays. The only file here that knows Hugging Face's tokenizers."""

import dataclasses
import functools
import hashlib
import importlib.util
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stablefit.data.readers import Examples
from stablefit.errors import InputError

Tokenizer = Any  # a transformers PreTrainedTokenizerFast; the class is not imported before it is needed

_CHUNK = 2048  # examples tokenised at a time: encodings of a whole large set take gigabytes
_ROUND_TO = 8  # widths are multiples of this, so that close data sets share a compiled program


@dataclasses.dataclass(frozen=True)
class Encoded:
    """Token arrays of N examples in width T.

    Args:
        tokens: int32 [N, T], token ids, the tokenizer's padding id on the right.
        types: int32 [N, T], 0 for the first text and 1 for the second; 0 on padding.
        segments: int32 [N, T], 1 on real tokens, 0 on padding.
        labels: [N], int32 class ids or float32 scores.
        lengths: int32 [N], number of real tokens.
        n_truncated: examples that lost tokens to the maximum length.
        ids: names of where the examples came from; empty if nobody asked for them.
        truncated: bool [N], which examples these are; empty if nobody asked for it.
    """

    tokens: np.ndarray
    types: np.ndarray
    segments: np.ndarray
    labels: np.ndarray
    lengths: np.ndarray
    n_truncated: int
    ids: Sequence[str] = dataclasses.field(default=(), kw_only=True)
    truncated: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, bool), kw_only=True)

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def further(self) -> tuple[np.ndarray, ...]:
        """What the network is given of each example beside its tokens: arrays of N rows."""
        return ()

    @property
    def targets(self) -> np.ndarray:
        """What predictions are compared with."""
        return self.labels

    @property
    def content(self) -> tuple[np.ndarray, ...]:
        """What the examples are, without padding: how wide the arrays are is our choice."""
        real = self.segments > 0
        return self.tokens[real], self.types[real], self.lengths, self.labels

    def subset(self, indices: np.ndarray) -> "Encoded":
        """The examples at these positions, in arrays of the same width."""
        arrays = ("tokens", "types", "segments", "labels", "lengths", "truncated")
        parts = {name: getattr(self, name)[indices] for name in arrays}
        ids = [str(self.ids[i]) for i in indices.tolist()]
        return Encoded(**parts, n_truncated=int(parts["truncated"].sum()), ids=ids)

    @functools.cached_property
    def digest(self) -> str:
        """Hexadecimal digits that name the content; a study asks for them once a cell."""
        found = hashlib.sha256()
        for array in self.content:
            found.update(f"{array.dtype} {array.shape}\n".encode())
            found.update(np.ascontiguousarray(array).data)
        return found.hexdigest()


def load_tokenizer(directory: str | Path, vocab_size: int | None = None) -> Tokenizer:
    """The tokenizer of a model directory or hub id; code that a model brings along is never run.

    Args:
        directory: a local directory is read without any look at the network.
        vocab_size: rows of the encoder's embedding table, checked against the tokenizer if given.

    Raises:
        InputError: there is no usable tokenizer, or it is another model's.
    """
    name = str(directory)
    try:
        tokenizer = _built(Path(name))
    except InputError:
        raise
    except Exception as error:  # every layer of transformers raises its own
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"no tokenizer in {name!r}: {reason}; expected tokenizer.json or vocab.txt") from None
    _check_vocabulary(name, tokenizer, vocab_size)
    # A tokenizer.json may pad and truncate by itself (MiniLM's does both, to 128); lengths are `encode`'s to decide.
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.backend_tokenizer.no_truncation()
    # "[SEP]" in a text is five characters of it. transformers sets the backend's value from its own at every call.
    tokenizer.split_special_tokens = tokenizer.backend_tokenizer.encode_special_tokens = True
    tokenizer.padding_side = tokenizer.truncation_side = "right"
    return tokenizer


def _built(directory: Path) -> Tokenizer:
    """The tokenizer as tokenizer.json has it, where there is one: the classes of transformers build their own anew.

    They would leave out a normaliser that is not their kind's, and lower-case by another file. What the special tokens
    are is in the other files, or known to the class that they name.
    """
    # transformers says at import that there is no PyTorch; there need not be one.
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    from transformers import PreTrainedTokenizerFast

    name = str(directory)
    if not (directory / "tokenizer.json").is_file():
        _check_sentencepiece(directory)
        return _of_its_class(directory)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(name, local_files_only=True)
    if missing := [role for role in _ROLES if getattr(tokenizer, role) is None]:
        known = _of_its_class(directory)
        tokenizer.add_special_tokens({role: getattr(known, role) for role in missing if getattr(known, role)})
    return tokenizer


def _check_sentencepiece(directory: Path) -> None:
    """transformers reads a model of SentencePiece by a package of that name, and asks for another one without it."""
    files = [name for name in _SENTENCEPIECE if (directory / name).is_file()]
    if files and importlib.util.find_spec("sentencepiece") is None:
        raise InputError(
            f"{directory} has {files[0]} and no tokenizer.json; to read it, pip install sentencepiece, or give the "
            "directory a tokenizer.json, which transformers writes with AutoTokenizer's save_pretrained"
        )


def described(tokenizer: Tokenizer, directory: Path) -> str:
    """How a tokenizer cuts, for a person: its kind, whether it keeps the case, and what another file says otherwise."""
    backend = tokenizer.backend_tokenizer
    lowers = backend.normalizer is not None and backend.normalizer.normalize_str("Ab") == "ab"
    said = f"{type(backend.model).__name__}, {'lower-cased' if lowers else 'case is kept'}"
    file = directory / "tokenizer_config.json"
    stated = json.loads(file.read_text(encoding="utf-8")).get("do_lower_case") if file.is_file() else None
    if (directory / "tokenizer.json").is_file() and isinstance(stated, bool) and stated != lowers:
        return f"{said}: tokenizer.json decides, tokenizer_config.json says do_lower_case={str(stated).lower()}"
    return said


_SENTENCEPIECE = ("spiece.model", "spm.model", "sentencepiece.bpe.model", "tokenizer.model")
_ROLES = ("cls_token", "sep_token", "pad_token", "unk_token")


def _of_its_class(directory: Path) -> Tokenizer:
    """What transformers builds by the class that the directory names.

    AutoTokenizer imports what models need, and with it PyTorch where that is installed: seconds, and memory. So a
    directory that says that its tokenizer is BERT's is not asked by it.
    """
    name, file = str(directory), directory / "tokenizer_config.json"
    named = json.loads(file.read_text(encoding="utf-8")).get("tokenizer_class", "") if file.is_file() else ""
    if named in ("BertTokenizer", "BertTokenizerFast"):
        from transformers import BertTokenizer

        return BertTokenizer.from_pretrained(name, local_files_only=True)
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(
        name, local_files_only=directory.is_dir(), trust_remote_code=False, use_fast=True
    )


def encode(examples: Examples, tokenizer: Tokenizer, max_length: int) -> Encoded:
    """Token arrays of the examples, in the width of the longest, rounded up to a multiple of 8, at most `max_length`.

    Pairs are shortened from the longer text's end first, as Hugging Face does by default.

    Args:
        max_length: most tokens an example may have, special tokens included; the caller checks it against the model.

    Raises:
        InputError: `max_length` leaves no room for text, or there are no examples.
    """
    pair = examples.texts_b is not None
    least = tokenizer.num_special_tokens_to_add(pair=pair) + (2 if pair else 1)
    if max_length < least:
        raise InputError(f"max_length {max_length} leaves no room for text; at least {least} tokens are needed")
    if not len(examples):
        raise InputError("no examples to encode")

    ids: list[np.ndarray] = []
    types: list[np.ndarray] = []
    truncated: list[bool] = []
    for start in range(0, len(examples), _CHUNK):
        stop = start + _CHUNK
        batch = tokenizer(
            examples.texts_a[start:stop],
            examples.texts_b[start:stop] if examples.texts_b is not None else None,
            truncation="longest_first",
            max_length=max_length,
            padding=False,
            return_token_type_ids=True,
            return_attention_mask=False,
        )
        ids += [np.asarray(row, np.int32) for row in batch["input_ids"]]
        types += [np.asarray(row, np.int32) for row in batch["token_type_ids"]]
        truncated += [bool(encoding.overflowing) for encoding in batch.encodings]

    lengths = np.array([len(row) for row in ids], np.int32)
    width = table_width(lengths, max_length)
    segments = (np.arange(width)[None, :] < lengths[:, None]).astype(np.int32)
    return Encoded(
        tokens=padded(ids, width, tokenizer.pad_token_id),
        types=padded(types, width, 0),
        segments=segments,
        labels=examples.labels,
        lengths=lengths,
        n_truncated=sum(truncated),
        ids=examples.ids,
        truncated=np.array(truncated, bool),
    )


def table_width(lengths: np.ndarray, max_length: int) -> int:
    """The width of a token table: the longest example, rounded up."""
    return min(max_length, -(-int(lengths.max()) // _ROUND_TO) * _ROUND_TO)


def padded(rows: Sequence[np.ndarray], width: int, fill: int) -> np.ndarray:
    """Rows of at most `width` integers as one int32 array, filled up with `fill`."""
    out = np.full((len(rows), width), fill, np.int32)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return out


def _check_vocabulary(name: str, tokenizer: Tokenizer, vocab_size: int | None) -> None:
    if not getattr(tokenizer, "is_fast", False):
        raise InputError(f"tokenizer of {name!r} has no tokenizer.json form; expected a fast tokenizer")
    for role in ("cls_token", "sep_token", "pad_token"):
        if getattr(tokenizer, role) is None:
            raise InputError(f"tokenizer of {name!r} has no {role}; expected the tokenizer of a BERT-like encoder")
    words = tokenizer.get_vocab()
    # transformers 5 builds such a tokenizer without a word when it does not find the vocabulary.
    if len(set(words) - set(tokenizer.all_special_tokens)) == 0:
        raise InputError(f"tokenizer of {name!r} knows {len(words)} special tokens and no words; is vocab.txt missing?")
    own = {tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id}
    if shared := [word for word, i in words.items() if i in own and word not in tokenizer.all_special_tokens]:
        raise InputError(
            f"tokenizer of {name!r} gives the word {shared[0]!r} the id {words[shared[0]]} of a special token; its "
            "files are damaged, or of two models: fetch them again"
        )
    model = tokenizer.backend_tokenizer.model
    if type(model).__name__ in ("WordPiece", "WordLevel") and model.unk_token not in words:
        raise InputError(
            f"tokenizer of {name!r} has no {model.unk_token!r} in its vocabulary, so that no text with another word "
            "could be read; its files are damaged: fetch them again"
        )
    if vocab_size is None:
        return
    largest = max(words.values())
    # Embedding tables are padded a little at most: half of one unused means that it is another model's.
    if largest >= vocab_size or largest + 1 < vocab_size // 2:
        raise InputError(
            f"tokenizer of {name!r} has {largest + 1} token ids, but the encoder's vocab_size is {vocab_size}; "
            "take the tokenizer that belongs to the encoder"
        )
