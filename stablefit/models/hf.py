"""Hugging Face directories <-> parameters of the encoder: the family's name table, used in both directions.

The only file that knows safetensors; `save_tree` and `load_tree` keep any parameters in it. Pickled weights are never
opened; a directory that has nothing else gets the command that converts it. transformers is not needed, and
huggingface_hub only for a hub id.
"""

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from safetensors.numpy import save_file

from stablefit.errors import InputError
from stablefit.models.config import EncoderConfig
from stablefit.models.families import family_of, read_config
from stablefit.models.families.family import Entry, Family
from stablefit.models.sources import CONFIG, INDEX, WEIGHTS, conversion, index_files, read_json, resolve

__all__ = [
    "Entry",
    "LoadReport",
    "load_config",
    "load_encoder",
    "load_head",
    "load_tree",
    "name_table",
    "resolve",
    "save_encoder",
    "save_tree",
]

SEQUENCES = "ForSequenceClassification"
TOKENS = "ForTokenClassification"

_FLOATS = ("F16", "BF16", "F32", "F64")


@dataclasses.dataclass(frozen=True)
class LoadReport:
    """What was read: files, stored types, tensors left aside, and whether the weights had a pooler."""

    directory: Path
    files: tuple[str, ...]
    dtypes: tuple[str, ...]
    ignored: tuple[str, ...]
    has_pooler: bool
    num_parameters: int
    pooler: str

    def __str__(self) -> str:
        """One line for a person."""
        aside = f"; left aside: {_some(self.ignored)}" if self.ignored else ""
        return f"{self.directory}: {self.num_parameters:,} parameters ({', '.join(self.dtypes)}), {self.pooler}{aside}"


def name_table(config: EncoderConfig) -> list[Entry]:
    """Every tensor of the encoder: name under `encoder/`, names in Hugging Face files, shape here."""
    return list(family_of(config).entries(config))


def load_config(directory: str | Path) -> EncoderConfig:
    """The encoder's sizes from `config.json`.

    Raises:
        InputError: no such file, not JSON, or a field that this encoder cannot follow.
    """
    file = Path(directory) / CONFIG
    return read_config(read_json(file), str(file))


def load_encoder(directory: str | Path, config: EncoderConfig) -> tuple[dict[str, Any], LoadReport]:
    """The encoder's parameters from `model.safetensors`, or from the shards of `model.safetensors.index.json`.

    Names may carry the family's prefix, as `bert.`, and LayerNorms the old names gamma and beta. Heads are left aside.

    Args:
        directory: holds the weights.
        config: the sizes that the weights must have.

    Returns:
        params: nested dict of NumPy float32 arrays, without the level `encoder`; without `pooler` if none was stored.
        report: what was read; `has_pooler` tells the caller to start one.

    Raises:
        InputError: no safetensors, a damaged file, or tensors that are missing, unexpected, misshapen or not finite.
    """
    directory = Path(directory)
    family = family_of(config)
    table = {entry.theirs: entry for entry in family.entries(config)}
    stored, ignored = _list_tensors(directory, family, table)
    has_pooler = any(entry.is_pooler and name in stored for name, entry in table.items())
    if not has_pooler:
        table = {name: entry for name, entry in table.items() if not entry.is_pooler}
    _check_tensors(directory, table, stored)
    params: dict[str, Any] = {}
    dtypes = set()
    for name, array, dtype in _read_tensors(stored):
        if not np.isfinite(array).all():
            raise InputError(f"{stored[name].file}: {stored[name].name} holds NaN or infinite values; fetch it again")
        entry = table[name]
        _put(params, entry.ours, entry.from_file(array))
        dtypes.add(dtype)
    count = sum(int(np.prod(entry.shape)) for entry in table.values())
    files = tuple(sorted({tensor.file.name for tensor in stored.values()}))
    pooler = "with pooler" if has_pooler else f"no pooler: a new one starts at N(0, {config.initializer_range:g})"
    return params, LoadReport(directory, files, tuple(sorted(dtypes)), tuple(ignored), has_pooler, count, pooler)


def _head_names(family: Family, architecture: str) -> dict[str, str]:
    """Our names of the head, and those in the files of a task model."""
    theirs = family.classifier if architecture == SEQUENCES else "classifier"
    return {"head/kernel": f"{theirs}.weight", "head/bias": f"{theirs}.bias"}


def load_head(directory: str | Path, config: EncoderConfig, architecture: str = SEQUENCES) -> dict[str, np.ndarray]:
    """The head that `save_encoder` wrote beside the encoder: {"kernel", "bias"}, float32.

    Args:
        directory: holds the weights.
        config: the encoder's.
        architecture: what the head is one of: SEQUENCES or TOKENS.

    Raises:
        InputError: no safetensors, or no head in it.
    """
    names = _head_names(family_of(config), architecture)
    head = {}
    for file in _weight_files(Path(directory)):
        with _open(file) as handle:
            for ours, theirs in names.items():
                if theirs in handle.keys():  # noqa: SIM118 -- not a dict
                    array = _tensor(handle, file, theirs).astype(np.float32)
                    head[ours.removeprefix("head/")] = np.ascontiguousarray(array.T)
    kernel, bias = (head.get(name, np.zeros(())) for name in ("kernel", "bias"))
    if kernel.ndim != 2 or kernel.shape[1:] != bias.shape:
        raise InputError(f"{directory}: its weights hold no head of the names {', '.join(names.values())}")
    return head


def save_encoder(
    directory: str | Path, params: Mapping[str, Any], config_dict: Mapping[str, Any], architecture: str = SEQUENCES
) -> None:
    """Write `model.safetensors` and `config.json`, so that PyTorch's class of that name loads them.

    Args:
        directory: made if it does not exist; files of those names are replaced.
        params: {"encoder": ..., "head": ...}; without a head it is the family's bare model. Stored as float32.
        config_dict: the fields of config.json; architecture and number of labels are set here, `id2label` is kept if
            it has as many labels as the head has outputs.
        architecture: what the head is one of: SEQUENCES or TOKENS.

    Raises:
        InputError: a parameter that the name table does not know, or one that is missing; a tagger, of a family that
            has none.
    """
    directory = Path(directory)
    config = read_config(config_dict, "config_dict")
    family = family_of(config)
    if architecture == TOKENS and family.no_tagger:
        raise InputError(f"cannot export to {directory}: {family.no_tagger}")
    entries, head = name_table(config), _head_names(family, architecture)
    of = {f"encoder/{entry.ours}": entry for entry in entries}
    names = {ours: entry.in_file for ours, entry in of.items()} | head
    leaves = dict(_leaves(params))
    may_lack = {f"encoder/{entry.ours}" for entry in entries if entry.is_pooler} | set(head)
    missing, unknown = sorted(names.keys() - leaves.keys() - may_lack), sorted(leaves.keys() - names.keys())
    if missing or unknown:
        raise InputError(f"cannot export to {directory}: missing {_some(missing)}; unknown {_some(unknown)}")
    tensors = {family.prefix + name: np.zeros(shape, np.float32) for name, shape in family.unused(config).items()}
    for ours, leaf in leaves.items():
        array = np.asarray(leaf, np.float32)
        tensors[names[ours]] = of[ours].to_file(array) if ours in of else np.ascontiguousarray(array.T)
    stem = family.classes[config.model_type]
    fields = dict(config_dict, architectures=[f"{stem}Model"])
    if "head/bias" in leaves:
        labels = len(leaves["head/bias"])
        fields["architectures"] = [stem + architecture]
        if len(fields.get("id2label", ())) != labels:
            fields["id2label"] = {str(i): f"LABEL_{i}" for i in range(labels)}
        fields["label2id"] = {label: int(i) for i, label in fields["id2label"].items()}
    directory.mkdir(parents=True, exist_ok=True)
    # Written beside and renamed: a reader never sees half a file.
    _save(tensors, directory / f"{WEIGHTS}.part", {"format": "pt"})
    text = json.dumps(fields, indent=2, sort_keys=True, ensure_ascii=False)
    (directory / f"{CONFIG}.part").write_text(text + "\n", encoding="utf-8")
    for name in (WEIGHTS, CONFIG):
        (directory / f"{name}.part").replace(directory / name)


def save_tree(file: Path, tree: Mapping[str, Any]) -> None:
    """Writes the arrays of a nested dict into one safetensors file, each under its path: `encoder/layer_0/...`."""
    file.parent.mkdir(parents=True, exist_ok=True)
    _save({name: np.asarray(leaf, order="C") for name, leaf in _leaves(tree)}, file)


def load_tree(file: Path) -> dict[str, Any]:
    """What `save_tree` wrote: the same arrays, in NumPy.

    Raises:
        InputError: the file is not there or is damaged.
    """
    tree: dict[str, Any] = {}
    with _open(file) as handle:
        names = list(handle.keys())
        held = {"/".join(parts[:i]) for parts in (name.split("/") for name in names) for i in range(1, len(parts))}
        if both := held.intersection(names):
            raise InputError(f"{file}: {_some(sorted(both))} is an array and holds others; write the file again")
        for name in names:
            _put(tree, name, _tensor(handle, file, name))
    return tree


def _save(tensors: dict[str, np.ndarray], file: Path, metadata: dict[str, str] | None = None) -> None:
    """Writes a file that those may read who may read others of its writer's: safetensors keeps it to the owner."""
    file.touch()
    mode = file.stat().st_mode
    save_file(tensors, file, metadata=metadata)
    file.chmod(mode)


@dataclasses.dataclass(frozen=True)
class _Tensor:
    """A stored tensor, known from the header of its file."""

    file: Path
    name: str
    dtype: str
    shape: tuple[int, ...]


def _list_tensors(directory: Path, family: Family, table: Mapping[str, Entry]) -> tuple[dict[str, _Tensor], list[str]]:
    """The stored tensors by name without prefix and old spellings, and the names left aside; reads headers only."""
    stored: dict[str, _Tensor] = {}
    ignored = []
    for file in _weight_files(directory):
        with _open(file) as handle:
            for name in handle.keys():  # noqa: SIM118 -- not a dict
                canonical = name.removeprefix(family.prefix)
                canonical = canonical.replace("LayerNorm.gamma", "LayerNorm.weight")
                canonical = canonical.replace("LayerNorm.beta", "LayerNorm.bias")
                if canonical not in table and re.fullmatch(family.aside, canonical):
                    ignored.append(name)
                    continue
                if canonical in stored:
                    raise InputError(f"{file}: {name} is stored twice, also as {stored[canonical].name}")
                part = handle.get_slice(name)
                stored[canonical] = _Tensor(file, name, part.get_dtype(), tuple(part.get_shape()))
    return stored, ignored


def _check_tensors(directory: Path, table: Mapping[str, Entry], stored: Mapping[str, _Tensor]) -> None:
    """One InputError for everything that is missing, unexpected, misshapen or of another type."""
    missing = [name for name in table if name not in stored]
    unexpected = [tensor.name for name, tensor in stored.items() if name not in table]
    both = [(tensor, table[name].stored_shape) for name, tensor in stored.items() if name in table]
    misshapen = [f"{t.name} is {list(t.shape)}, not {list(shape)}" for t, shape in both if t.shape != shape]
    mistyped = [f"{t.name} is {t.dtype}, not one of {'/'.join(_FLOATS)}" for t, _ in both if t.dtype not in _FLOATS]
    wrong = {"missing": missing, "unexpected": unexpected, "misshapen": misshapen, "mistyped": mistyped}
    found = "; ".join(f"{len(names)} {kind}: {_some(names)}" for kind, names in wrong.items() if names)
    if found:
        raise InputError(f"{directory}: the weights do not fit {CONFIG}: {found}")


def _read_tensors(stored: Mapping[str, _Tensor]) -> Iterator[tuple[str, np.ndarray, str]]:
    """Name, float32 array and stored type of every tensor."""
    for file in sorted({tensor.file for tensor in stored.values()}):
        with _open(file) as handle:
            for name, tensor in stored.items():
                if tensor.file == file:
                    yield name, _tensor(handle, file, tensor.name).astype(np.float32), tensor.dtype


def _weight_files(directory: Path) -> list[Path]:
    """The safetensors files of a directory; an InputError says what to do where there are none."""
    if (directory / WEIGHTS).is_file():
        return [directory / WEIGHTS]
    if (directory / INDEX).is_file():
        return index_files(directory)
    raise InputError(f"{directory}: no {WEIGHTS} and no {INDEX}{conversion(directory)}")


def _open(file: Path) -> Any:
    try:
        return safetensors.safe_open(file, framework="numpy")
    except (safetensors.SafetensorError, OSError) as error:
        raise InputError(f"{file}: cannot be read as safetensors ({_one_line(error)}); fetch it again") from None


def _tensor(handle: Any, file: Path, name: str) -> np.ndarray:
    try:
        return handle.get_tensor(name)
    except (safetensors.SafetensorError, AttributeError, TypeError, ValueError) as error:  # a type NumPy has not
        raise InputError(f"{file}: {name[:120]} cannot be read ({_one_line(error)}); write it as float32") from None


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


def _some(names: Any, most: int = 4) -> str:
    """A few of the names, and how many more there are."""
    names = list(names)
    if not names:
        return "nothing"
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(str(name)[:120] for name in names[:most]) + more


def _put(tree: dict[str, Any], name: str, leaf: Any) -> None:
    *parents, last = name.split("/")
    for part in parents:
        tree = tree.setdefault(part, {})
    tree[last] = leaf


def _leaves(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, child in tree.items():
        if isinstance(child, Mapping):
            yield from _leaves(child, f"{above}{name}/")
        else:
            yield above + name, child
