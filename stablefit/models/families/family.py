"""What is said of a family of encoders in its file, and the table of names that follows from it."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal

import numpy as np

from stablefit.models.config import EncoderConfig
from stablefit.models.encoder import Encoder

# (ours, theirs, axes of ours): names as in the parameters under `encoder/` and as in Hugging Face's files. Axes are
# letters: V vocabulary, P positions, S token types, E columns of the token table, D hidden, F intermediate, or what
# `axes` of the family adds. {i} in a row of a block is the block. Kernels are [in, out] here and [out, in] there; what
# is stored in another order has both, as in "HKD|DHK": ours, a line, theirs.
Row = tuple[str, str, str]


@dataclasses.dataclass(frozen=True)
class Family:
    """All that is particular to a family beside its modules.

    Args:
        title: as people write it.
        config: its fields of config.json; the default of its `model_type` is the family's first.
        encoder: its network.
        classes: model_type -> what transformers' classes of it begin with.
        prefix: what a file of a task model puts before the encoder's names.
        embeddings: rows of what stands before the first block; `rows(config)` if they depend on the sizes.
        block: rows of a block.
        pooler: rows of the dense layer between [CLS] and the classifier, without the prefix where `pooler_outside`.
        after: rows of what stands behind the last block.
        pooler_outside: the pooler belongs to the task model there, not to the encoder: no pre-trained file has one.
        classifier: what stands before `.weight` and `.bias` of a sequence classifier's last layer.
        aside: regular expression of names, without prefix, that are left aside: heads of other tasks, buffers.
        axes: letters of its own -> sizes.
        mean: how the stock classifier can read a mean: "block", by one more block; "own", its config says so; "": not.
        one_block: why re-initialised blocks and layer-wise decay make no sense in it; "" where they do.
        blocks: how many blocks the files have, if not `num_hidden_layers`.
        no_tagger: why it has no tagger; "" if it has one.
        unused: names and shapes of what its files have for pre-training alone: left aside, and written as zeros.
    """

    title: str
    config: type[EncoderConfig]
    encoder: type[Encoder]
    classes: Mapping[str, str]
    prefix: str
    embeddings: Callable[[EncoderConfig], Iterable[Row]]
    block: Callable[[EncoderConfig, int], Iterable[Row]]
    pooler: Callable[[EncoderConfig], Iterable[Row]]
    after: Callable[[EncoderConfig], Iterable[Row]] = lambda config: ()
    pooler_outside: bool = False
    classifier: str = "classifier"
    aside: str = r"(?:cls|classifier|qa_outputs)\..*|embeddings\.position_ids"
    axes: Callable[[EncoderConfig], Mapping[str, int]] = lambda config: {}
    mean: Literal["block", "own", ""] = "block"
    one_block: str = ""
    blocks: Callable[[EncoderConfig], int] = lambda config: config.num_hidden_layers
    no_tagger: str = ""
    unused: Callable[[EncoderConfig], Mapping[str, tuple[int, ...]]] = lambda config: {}

    def entries(self, config: EncoderConfig) -> Iterator["Entry"]:
        """Every tensor of the encoder with its pooler, in the order in which the model is built."""
        sizes = {
            "V": config.vocab_size,
            "P": config.max_position_embeddings,
            "S": config.type_vocab_size,
            "E": config.token_size,
            "D": config.hidden_size,
            "F": config.intermediate_size,
            **self.axes(config),
        }
        blocks = [
            (ours.format(i=i), theirs.format(i=i), axes)
            for i in range(self.blocks(config))
            for ours, theirs, axes in self.block(config, i)
        ]
        for ours, theirs, axes in (*self.embeddings(config), *blocks, *self.after(config)):
            yield _entry(ours, theirs, self.prefix + theirs, axes, sizes)
        for ours, theirs, axes in self.pooler(config):
            stored = theirs if self.pooler_outside else self.prefix + theirs
            yield _entry(ours, theirs, stored, axes, sizes)


@dataclasses.dataclass(frozen=True)
class Entry:
    """One row of the name table for a given model: our name, theirs without prefix, as a file has it, our shape.

    `order` says which of our axes each axis in the file is.
    """

    ours: str
    theirs: str
    in_file: str
    shape: tuple[int, ...]
    order: tuple[int, ...]

    @property
    def is_pooler(self) -> bool:
        return self.ours.startswith("pooler/")

    @property
    def stored_shape(self) -> tuple[int, ...]:
        return tuple(self.shape[axis] for axis in self.order)

    def to_file(self, array: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(np.transpose(array, self.order))

    def from_file(self, array: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(np.transpose(array, np.argsort(self.order)))


def _entry(ours: str, theirs: str, in_file: str, axes: str, sizes: Mapping[str, int]) -> Entry:
    here, _, there = axes.partition("|")
    order = tuple(here.index(axis) for axis in there) if there else tuple(range(len(here)))
    if ours.endswith("kernel") and not there:
        order = order[::-1]
    return Entry(ours, theirs, in_file, tuple(sizes[axis] for axis in here), order)


def dense(ours: str, theirs: str, axes: str, *, bias: bool = True) -> list[Row]:
    """The rows of a dense layer, `axes` its [in, out]."""
    rows = [(f"{ours}/kernel", f"{theirs}.weight", axes)]
    return [*rows, (f"{ours}/bias", f"{theirs}.bias", axes[-1])] if bias else rows


def norm(ours: str, theirs: str, axis: str = "D", *, bias: bool = True) -> list[Row]:
    """The rows of a LayerNorm."""
    rows = [(f"{ours}/scale", f"{theirs}.weight", axis)]
    return [*rows, (f"{ours}/bias", f"{theirs}.bias", axis)] if bias else rows


def table(ours: str, theirs: str, axes: str) -> list[Row]:
    """The row of a table."""
    return [(f"{ours}/embedding", f"{theirs}.weight", axes)]
