"""A tokenizer as transformers built it, in one file that is read without transformers.

Its import takes a second, longer than a model takes to load and to answer. The work itself is done by the library
`tokenizers`, to which transformers hands a text; here it is asked directly, with what `load_tokenizer` has set.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tokenizers

from stablefit.errors import InputError

FILE = "built_tokenizer.json"
_FORMAT = 1
_ROLES = ("cls_token", "sep_token", "pad_token", "unk_token")


class BuiltTokenizer:
    """What `encoding` and `tagging_encoding` ask of a tokenizer.

    Args:
        backend: does the work; without padding and truncation, special tokens in a text are text.
        roles: `cls_token`, `sep_token`, `pad_token` and `unk_token`, each None if it has none.
        special: all special tokens.
    """

    cls_token_id: int
    sep_token_id: int
    pad_token_id: int
    unk_token_id: int | None

    def __init__(self, backend: tokenizers.Tokenizer, roles: Mapping[str, str | None], special: Sequence[str]):
        self.backend_tokenizer = backend
        self.all_special_tokens = list(special)
        self.all_special_ids = [backend.token_to_id(name) for name in special]
        for role in _ROLES:
            name = roles[role]
            setattr(self, f"{role}_id", None if name is None else backend.token_to_id(name))

    def __call__(
        self, texts_a: Sequence[str], texts_b: Sequence[str] | None = None, *, max_length: int, **_: Any
    ) -> "Batch":
        """The pieces of texts or pairs, the longer of a pair cut first; other arguments as `encode` gives them."""
        backend = self.backend_tokenizer
        backend.enable_truncation(max_length, stride=0, strategy="longest_first", direction="right")
        inputs: Any = texts_a if texts_b is None else list(zip(texts_a, texts_b, strict=True))
        found = backend.encode_batch(inputs)
        backend.no_truncation()
        return Batch(found)

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        return self.backend_tokenizer.num_special_tokens_to_add(pair)

    def get_vocab(self) -> dict[str, int]:
        return self.backend_tokenizer.get_vocab(with_added_tokens=True)


@dataclasses.dataclass(frozen=True)
class Batch:
    """Encoded texts, under the names that transformers gives their parts."""

    encodings: Sequence[Any]

    def __getitem__(self, name: str) -> list[list[int]]:
        attribute = {"input_ids": "ids", "token_type_ids": "type_ids"}[name]
        return [getattr(one, attribute) for one in self.encodings]


def write(folder: Path, tokenizer: Any) -> None:
    """Writes a tokenizer of `load_tokenizer` into a folder."""
    content = {
        "format": _FORMAT,
        "roles": {role: getattr(tokenizer, role) for role in _ROLES},
        "special": list(tokenizer.all_special_tokens),
        "backend": tokenizer.backend_tokenizer.to_str(),
    }
    (folder / FILE).write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")


def read(folder: Path) -> BuiltTokenizer | None:
    """The tokenizer that was written into a folder; None if none was.

    Raises:
        InputError: the file is damaged.
    """
    file = folder / FILE
    if not file.is_file():
        return None
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["format"] != _FORMAT:
            return None  # of a later version: transformers' own files lie beside it
        backend = tokenizers.Tokenizer.from_str(content["backend"])
        backend.encode_special_tokens = True  # its own file does not keep it
        return BuiltTokenizer(backend, content["roles"], content["special"])
    except Exception as error:  # tokenizers raises a bare Exception
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{file}: is damaged ({reason}); delete it, and the files beside it are read") from None
