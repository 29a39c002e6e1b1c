"""What a folder is that a model is wanted from: a fit's, a run's, a seed's, or an exported directory."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stablefit.errors import InputError
from stablefit.training.bundle import Bundle

EXPORTED = "stablefit.json"  # the bundle of an exported directory
MEMBER = "member_{}"  # the folders of an exported ensemble


@dataclasses.dataclass(frozen=True)
class Place:
    """Where the parts of a model lie.

    Args:
        path: what was asked for.
        bundle: what the model is; its folder holds config.json and the tokenizer.
        members: where their parameters are: safetensors files of a fit, folders of orbax of a run (and of fits of
            before there were such files), or Hugging Face directories.
        said: what was left aside or is doubtful, in words.
    """

    path: Path
    bundle: Bundle
    members: tuple[Path, ...]
    is_exported: bool = False
    said: tuple[str, ...] = ()


def locate(path: str | Path) -> Place:
    """What lies at the path.

    Args:
        path: a fit's DIR, a run's WORKDIR, WORKDIR/seed_0, or a directory that `stablefit export` wrote.

    Raises:
        InputError: none of these, or its parameters were not kept.
    """
    path = Path(path).expanduser()
    if not path.is_dir():
        raise InputError(f"{path} is not a folder; give a fit's, a run's, a seed's or an exported one")
    if (path / EXPORTED).is_file():
        return Place(path, Bundle.read(path, EXPORTED), (path,), True)
    if (first := path / MEMBER.format(0) / EXPORTED).is_file():
        found = _numbered(path, "member_*", EXPORTED)
        return Place(path, Bundle.read(first.parent, EXPORTED), tuple(found), True)
    for root in (path / "model", path):
        if (root / "bundle").is_dir() and (root / "members").is_dir():
            return Place(path, Bundle.read(root / "bundle"), _kept(root / "members"))
    if (path / "bundle").is_dir():
        members, said = _seeds(path)
        return Place(path, Bundle.read(path / "bundle"), members, said=said)
    if (path.parent / "bundle").is_dir() and path.name.startswith("seed_"):
        said = _check_seed(path)
        return Place(path, Bundle.read(path.parent / "bundle"), (path / "best",), said=said)
    raise InputError(f"{path} holds no model; give a fit's folder, a run's, one of its seeds, or an exported directory")


def _kept(folder: Path) -> tuple[Path, ...]:
    """`0.safetensors` and on; of fits of before there were such files, folders `0` and on."""
    found = [one for one in folder.iterdir() if one.stem.isdecimal() and one.suffix in ("", ".safetensors")]
    if not found:
        raise InputError(f"{folder} holds no parameters; fit anew into another folder")
    return tuple(sorted(found, key=lambda one: int(one.stem)))


def _seeds(run: Path) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """The finished seeds of a run that kept parameters, and what is said of some.

    Those that diverged, or did not finish, are left aside; those that failed are not.
    """
    rows = _rows(run / "results.jsonl")
    folders = _numbered(run, "seed_*", "best")
    kept: list[Path] = []
    aside: list[str] = []
    for folder in folders:
        row = rows.get(folder.name)
        if row is None or row.get("diverged"):
            aside.append(f"{folder.name} {'did not finish' if row is None else 'diverged'}: left aside")
        else:
            kept.append(folder / "best")
            aside += _failed(folder.name, row)
    if not kept:
        why = f" ({'; '.join(aside)})" if aside else ""
        raise InputError(
            f"{run} has no finished seed that kept its parameters{why}; run it with config field keep=best"
        )
    return tuple(kept), tuple(aside)


def _rows(file: Path) -> dict[str, dict[str, Any]]:
    try:
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        return {f"seed_{row['seed']}": row for row in rows}
    except (OSError, ValueError, LookupError, TypeError):
        return {}


def _check_seed(seed: Path) -> tuple[str, ...]:
    """What is to be said of the one seed that was asked for."""
    if not (seed / "best").is_dir():
        raise InputError(f"{seed} kept no parameters; run it with config field keep=best")
    row = _rows(seed.parent / "results.jsonl").get(seed.name, {})
    if row.get("diverged"):
        raise InputError(f"{seed} diverged: its answers mean nothing; give another seed")
    return _failed(seed.name, row)


def _failed(name: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    return (f"{name} failed: it was not above what the majority alone gives",) if row.get("failed") else ()


def _numbered(folder: Path, pattern: str, inside: str) -> list[Path]:
    """The folders `NAME_0`, `NAME_1` and on that hold something of this name, by number."""
    found = [one for one in folder.glob(pattern) if one.name.split("_")[1].isdecimal() and (one / inside).exists()]
    return sorted(found, key=lambda one: int(one.name.split("_")[1]))
