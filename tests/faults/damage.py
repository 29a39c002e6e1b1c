"""What disks and people do to a file of a run that was killed: each a way of damage, and what is said of it."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

from stablefit.training import manifest

LOGS = ("metrics.jsonl", "results.jsonl")


def logged(workdir: Path, rng: random.Random) -> str:
    """Damages a ledger or a log."""
    files = [file for file in _files(workdir) if file.name in LOGS]
    return _one_file(rng.choice(files), rng, workdir)


def saved(workdir: Path, rng: random.Random) -> str:
    """Damages anything else: a state, parameters, predictions, the bundle, the config; one time in eight a save."""
    if rng.random() < 1 / 8:
        return rng.choice((_renamed_step, _swapped_steps, _renamed_seed))(workdir)
    files = [file for file in _files(workdir) if file.name not in LOGS]
    # A save has thirty small files to its few large ones: the folder is drawn first, so that all have their turn.
    folders = sorted({_save_of(file, workdir) for file in files})
    folder = rng.choice(folders)
    return _one_file(rng.choice([file for file in files if _save_of(file, workdir) == folder]), rng, workdir)


def states(workdir: Path) -> list[Path]:
    """The saves that a run can go on from, newest first."""
    found = [folder for folder in workdir.rglob("state/*") if folder.name.isdecimal()]
    return sorted(found, key=lambda folder: int(folder.name), reverse=True)


def is_whole(state: Path) -> bool:
    """Whether a save has its manifest and is what that says."""
    return manifest.place(state).is_file() and not manifest.damage(state)


def _files(workdir: Path) -> list[Path]:
    return sorted(file for file in workdir.rglob("*") if file.is_file() and file.stat().st_size)


def _save_of(file: Path, workdir: Path) -> str:
    parts = file.relative_to(workdir).parts
    return "/".join(parts[: 3 if "state" in parts else 2])


def _one_file(file: Path, rng: random.Random, workdir: Path) -> str:
    return rng.choice(_WAYS)(file, rng) + f" of {file.relative_to(workdir)}"


def _flipped(file: Path, rng: random.Random) -> str:
    content = bytearray(file.read_bytes())
    place, bit = rng.randrange(len(content)), rng.randrange(8)
    content[place] ^= 1 << bit
    file.write_bytes(content)
    return f"bit {bit} of byte {place}"


def _cut(file: Path, rng: random.Random) -> str:
    left = rng.randrange(file.stat().st_size)
    with file.open("r+b") as opened:
        opened.truncate(left)
    return f"all after byte {left}"


def _emptied(file: Path, rng: random.Random) -> str:
    file.write_bytes(b"")
    return "all bytes"


def _zeroed(file: Path, rng: random.Random) -> str:
    """As after a power cut: a stretch that was never written."""
    content = bytearray(file.read_bytes())
    place = rng.randrange(len(content))
    end = min(len(content), place + rng.choice((8, 64, 4096)))
    content[place:end] = bytes(end - place)
    file.write_bytes(content)
    return f"bytes {place} to {end}, now zero,"


def _removed(file: Path, rng: random.Random) -> str:
    file.unlink()
    return "the whole"


_WAYS: tuple[Callable[[Path, random.Random], str], ...] = (
    _flipped,
    _flipped,
    _flipped,
    _cut,
    _emptied,
    _zeroed,
    _removed,
)


def _renamed_step(workdir: Path) -> str:
    newest = states(workdir)[0]
    newest.rename(newest.with_name(str(int(newest.name) + 1)))
    return f"{newest.relative_to(workdir)}, renamed to a later step"


def _swapped_steps(workdir: Path) -> str:
    """An older save under the name of the newest."""
    newest, *older = states(workdir)
    shutil.rmtree(newest)
    older[0].rename(newest)
    return f"{newest.relative_to(workdir)}, an older one renamed"


def _renamed_seed(workdir: Path) -> str:
    """The save of the seed under the name of one that has not begun: it is that seed's no more."""
    seed = states(workdir)[0].parent.parent
    other = seed.with_name("seed_0")
    shutil.rmtree(other)
    seed.rename(other)
    (workdir / "results.jsonl").write_text("")
    return f"{seed.name}, renamed {other.name}"
