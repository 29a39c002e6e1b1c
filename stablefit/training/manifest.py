"""What says that a save is whole, and whose: a manifest with SHA-256 of each file, written last and checked on reading.

FOLDER/manifest.json     of a folder: a state, parameters, the model of a fit
NAME.manifest.json       beside one file, NAME.npz

A save of before there were manifests has none, and is read as it is.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stablefit.errors import InputError
from stablefit.training.files import write_whole

NAME = "manifest.json"


def place(save: Path) -> Path:
    """Where the manifest of a folder or of a file lies."""
    return save / NAME if save.is_dir() else save.with_suffix(f".{NAME}")


def write(save: Path, **of: Any) -> None:
    """Writes the manifest of a save that is complete.

    Args:
        save: a folder, or a file.
        of: what it is: `step`, `seed`, `fingerprint`, `part`.
    """
    files = [save] if save.is_file() else [file for file in sorted(save.rglob("*")) if file.is_file()]
    sums = {_name(file, save): _sha256(file) for file in files if file != place(save)}
    write_whole(place(save), sealed({**of, "files": sums}))


def damage(save: Path, **of: Any) -> str:
    """Why a save must not be used, in words; empty if it is whole, or of before there were manifests.

    What the place of a save says of it is asked too: `seed_3/best` is of seed 3.

    Args:
        save: as it was given to `write`.
        of: what it must be; what its manifest does not say of it is not asked.
    """
    file = place(save)
    if not file.is_file():
        return ""
    stored = unsealed(file.read_bytes())
    if stored is None or not isinstance(stored.get("files"), dict):
        return f"its {file.name} is damaged"
    for name, wanted in {**_of_place(save), **of}.items():
        if stored.get(name, wanted) != wanted:
            return f"it is of {name} {stored[name]}, not {wanted}"
    for name, digest in stored["files"].items():
        file = save / name if save.is_dir() else save.parent / name
        if not file.is_file():
            return f"its file {name} is gone"
        if _sha256(file) != digest:
            return f"its file {name} has changed since it was written"
    return ""


def check(save: Path, remedy: str, **of: Any) -> None:
    """Refuses a save that must not be used.

    Raises:
        InputError: `damage` says why; `remedy` is what would be right.
    """
    if why := damage(save, **of):
        raise InputError(f"{save} is not used: {why}; {remedy}")


def forget(save: Path) -> None:
    """Takes the manifest away, before the save is written anew."""
    place(save).unlink(missing_ok=True)


def sealed(content: Mapping[str, Any]) -> str:
    """A JSON text that carries its own SHA-256."""
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return json.dumps({**content, "sha256": digest}, indent=1, sort_keys=True) + "\n"


def unsealed(text: bytes) -> dict[str, Any] | None:
    """What was sealed; None if the text is not as it was, to the byte."""
    try:
        content = json.loads(text)
        del content["sha256"]
        return content if sealed(content).encode() == text else None
    except (ValueError, RecursionError, TypeError, LookupError):
        return None


def _of_place(save: Path) -> dict[str, Any]:
    """What the names of folders say: seed_3/best, seed_3/state/40."""
    said: dict[str, Any] = {}
    folder = save.absolute().parent
    if folder.name == "state" and save.name.isdecimal():
        said["step"], folder = int(save.name), folder.parent
    if found := re.fullmatch(r"seed_(-?\d+)", folder.name):
        said["seed"] = int(found[1])
    if save.name in ("best", "last"):
        said["part"] = save.name
    return said


def _name(file: Path, save: Path) -> str:
    return file.name if file == save else file.relative_to(save).as_posix()


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
