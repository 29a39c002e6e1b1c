"""The run directory: what a run leaves behind, and what it goes on from.

WORKDIR/config.json            the resolved config; only a run of the same identity may write here
WORKDIR/data.json              a digest of the data, and how many examples it has; only a run on the same may write here
WORKDIR/parameters.txt         every parameter with its shape, depth, multiplier, decay, and whether it starts anew
WORKDIR/results.jsonl          one line a finished seed
WORKDIR/compared.jsonl         where seeds are compared: one line a seed, its best score by then
WORKDIR/cohorts.json           where runs are trained in one program: which together
WORKDIR/seed_0/metrics.jsonl   one line a step, one an evaluation
WORKDIR/seed_0/predictions.npz logits and labels of validation and test
WORKDIR/seed_0/best, last      parameters
WORKDIR/seed_0/row.json        of a cohort: the seed's row, until all have theirs
WORKDIR/seed_0/state           what an unfinished seed goes on from; removed when it is finished
"""

import fcntl
import io
import json
import math
import os
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stablefit.data.digest import Digest
from stablefit.errors import InputError
from stablefit.fields import FIELDS
from stablefit.training import manifest, processes
from stablefit.training.files import is_free, line_of, read_lines, row_of, write_whole
from stablefit.training.settings import Settings, identity


class RunDirectory:
    """A directory that belongs to one config on one set of data, and while it is open to one process.

    Args:
        path: made if it is not there.
        settings: the run's.
        data: the digest of what it is trained and scored on; None where nobody wants to know whether it is the same.
            A directory of before there were digests goes on, and from then on belongs to this data.

    Raises:
        InputError: the directory holds another run, or something else.
    """

    def __init__(self, path: Path, settings: Settings, data: Digest | None = None):
        self.path, self.settings = path, settings
        config = path / "config.json"
        seeds = list(settings.seeds)
        if config.is_file():
            seeds = sorted({*seeds, *self._check_same(config, settings)})
        elif not is_free(path):
            raise InputError(f"workdir {path} is not empty and holds no run of stablefit; give another --workdir")
        check_data(path, data)
        path.mkdir(parents=True, exist_ok=True)
        self._lock = (path / ".lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # held until the process ends, however it ends
        except OSError:
            self._lock.close()
            raise InputError(f"workdir {path} is in use by another process; wait for it, or give another") from None
        try:
            self._tidy()
            write_whole(config, json.dumps({**settings.values, "seeds": seeds}, indent=2) + "\n")
            if data is not None and not (path / "data.json").is_file():
                write_whole(path / "data.json", json.dumps(data._asdict(), indent=2) + "\n")
        except BaseException:
            self._lock.close()
            raise

    def _tidy(self) -> None:
        """Removes what a kill left: the state of a seed that has its row, and half-written saves."""
        finished = self.results()  # all processes of a run read it together
        if not processes.is_first():
            return
        for seed in finished:
            shutil.rmtree(self.seed(seed) / "state", ignore_errors=True)
        for half in [
            *self.path.glob("seed_*/*.orbax-checkpoint-tmp*"),
            *self.path.glob("seed_*/*/*.orbax-checkpoint-tmp*"),
        ]:
            shutil.rmtree(half, ignore_errors=True)

    def __enter__(self) -> "RunDirectory":
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.close()

    def _check_same(self, config: Path, settings: Settings) -> Sequence[int]:
        """Refuses the config of another run; returns the seeds that this run has been asked for before."""
        try:
            old = json.loads(config.read_text())
            old = {name: tuple(value) if isinstance(value, list) else value for name, value in old.items()}
        except (ValueError, AttributeError, RecursionError) as error:
            raise InputError(f"{config} is no config ({error}); give another --workdir") from None
        if "seeds" not in old:
            raise InputError(f"{config} is no config (it has no seeds); give another --workdir")
        if not isinstance(old["seeds"], tuple) or not all(type(seed) is int for seed in old["seeds"]):
            raise InputError(f"{config} is no config (its seeds are {old['seeds']!r}); give another --workdir")
        before, now = identity(old), settings.identity
        changed = [name for name in before.keys() | now.keys() if before.get(name) != now.get(name)]
        if changed:
            name = min(changed, key=lambda name: (name == "seeds", name))
            why = ", which stop_seeds_at compares with each other" if name == "seeds" else ""
            then = {field.name: field.before for field in FIELDS.values()} | old | before
            raise InputError(
                f"workdir {self.path} holds a run with {name}={then.get(name)!r}{why}, this one has "
                f"{(settings.values | now).get(name)!r}; give another --workdir, or the same config to go on"
            )
        return old["seeds"]

    def seed(self, seed: int) -> Path:
        """The folder of a seed."""
        return self.path / f"seed_{seed}"

    def unfinished(self, seeds: Sequence[int]) -> list[int]:
        """Those of the seeds that have no row yet."""
        finished = self.results()
        return [seed for seed in seeds if seed not in finished]

    def results(self) -> dict[int, dict[str, Any]]:
        """The row of every finished seed. A line cut off by a kill is not a row."""
        file = self.path / "results.jsonl"
        rows = processes.from_first(seed_rows(file) if file.is_file() else [])
        own = self.settings.fingerprint
        for number, row in enumerate(rows, start=1):
            if row.get("fingerprint", own) != own:
                raise InputError(
                    f"{file}:{number}: its row is of config {row['fingerprint']}, this run's is {own}; delete the line"
                )
        return {row["seed"]: row for row in rows}

    def damaged_predictions(self) -> list[str]:
        """What is said of finished seeds whose predictions are not as they were written; nothing if all are."""
        files = [self.seed(seed) / "predictions.npz" for seed in self.results()]
        return [
            f"{file}: {why}; its row stands, but what reads it will refuse it: remove the folder of the seed and its "
            "row, and run it again"
            for file in files
            if (why := manifest.damage(file))
        ]

    def compared(self) -> dict[int, float]:
        """The score of every seed that has come to where seeds are compared."""
        file = self.path / "compared.jsonl"
        rows = processes.from_first(seed_rows(file) if file.is_file() else [])
        for number, row in enumerate(rows, start=1):
            if type(row.get("score", "absent")) not in (int, float, type(None)):
                raise InputError(f"{file}:{number}: its score is {row.get('score')!r}, not a number; delete the line")
        return {row["seed"]: -math.inf if row["score"] is None else row["score"] for row in rows}

    def compare(self, scores: Mapping[int, float]) -> None:
        """Adds the scores of seeds that have come to where seeds are compared."""
        rows = [{"seed": seed, "score": score} for seed, score in {**self.compared(), **scores}.items()]
        write_whole(self.path / "compared.jsonl", "".join(map(line_of, rows)))

    def finish(self, row: dict[str, Any]) -> None:
        """Adds the row of a finished seed, on disk before this returns; its state is not needed any more."""
        rows = {**self.results(), row["seed"]: row}.values()
        write_whole(self.path / "results.jsonl", "".join(map(line_of, rows)))
        self.withdraw(row["seed"])
        shutil.rmtree(self.seed(row["seed"]) / "state", ignore_errors=True)

    def promise(self, row: dict[str, Any], cohort: Sequence[tuple[str, int]]) -> None:
        """Writes the row of a seed into its folder: it counts when all of its cohort have theirs.

        Args:
            row: as `finish` takes it.
            cohort: fingerprint and seed of every member.
        """
        body = {"row": json.loads(line_of(row)), "cohort": cohort}
        write_whole(self.seed(row["seed"]) / "row.json", manifest.sealed(body))

    def promised(self) -> dict[int, dict[str, Any]]:
        """What `promise` wrote of seeds that have no row yet; a damaged one is none."""
        found = {}
        for file in self.path.glob("seed_*/row.json") if processes.is_first() else ():
            content = manifest.unsealed(file.read_bytes())
            row = content.get("row") if content is not None else None
            if isinstance(row, dict) and type(row.get("seed")) is int and file.parent == self.seed(row["seed"]):
                found[str(row["seed"])] = content
        finished = self.results()
        told = processes.from_first(found)
        return {int(seed): content for seed, content in told.items() if int(seed) not in finished}

    def withdraw(self, seed: int) -> None:
        """Takes back what was promised."""
        (self.seed(seed) / "row.json").unlink(missing_ok=True)

    def deal(self, record: Mapping[str, Any]) -> None:
        """Writes down which runs go into one program together."""
        write_whole(self.path / "cohorts.json", manifest.sealed(record))

    def dealt(self) -> dict[str, Any]:
        """What `deal` wrote; empty if there is nothing, or it is damaged."""
        file = self.path / "cohorts.json"
        found = manifest.unsealed(file.read_bytes()) if processes.is_first() and file.is_file() else None
        return processes.from_first(found or {})

    def adopt(self, row: dict[str, Any], files: bytes) -> None:
        """Adds a seed that was finished elsewhere: its files, then its row.

        Args:
            row: as `finish` takes it.
            files: of its folder, from `pack`; they take the place of what an unfinished run of the seed left.
        """
        folder = self.seed(row["seed"])
        fresh = folder.with_name(f".{folder.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        with tarfile.open(fileobj=io.BytesIO(files)) as archive:
            archive.extractall(fresh, filter="data")
        shutil.rmtree(folder, ignore_errors=True)
        fresh.replace(folder)
        self.finish(row)


def check_data(path: Path, data: Digest | None) -> None:
    """Refuses a run on other data than a run directory holds, in every process if in one; writes nothing.

    Args:
        path: the directory; one that is not there, or has no data.json, holds no data.
        data: the digest of what this process has read; None: not checked.
    """
    if data is None:
        return
    stored = _stored_digest(path / "data.json")
    where, known, first = processes.from_first([str(path), stored, data])
    before = Digest(*(first if known is None else known))
    differs = before.digest != data.digest
    if not processes.largest(differs):
        return
    if known is not None and differs:
        raise InputError(
            f"workdir {where} holds a run on other data ({before.difference(data)}): files under data_dir or the "
            "tokenizer have changed; give another --workdir, or the data of then to go on"
        )
    raise InputError(
        "the processes of this run have read different data: files under data_dir or the tokenizer differ between "
        "hosts; give all the same"
    )


def _stored_digest(file: Path) -> Digest | None:
    if not file.is_file():
        return None
    try:
        stored = json.loads(file.read_text())
        return Digest(str(stored["digest"]), {str(name): int(n) for name, n in stored["examples"].items()})
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise InputError(f"{file} is no record of a run's data ({error}); give another --workdir") from None


def pack(folder: Path) -> bytes:
    """The files of a seed as a tar archive."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.add(folder, arcname="")
    return stream.getvalue()


class MetricsFile:
    """The JSON lines of one seed, cut back to what a resumed run starts from.

    Args:
        directory: of the seed.
        step: the last one done.
        evaluated: the step of the last evaluation done, which may be the one before: a save may lie between.

    Attributes:
        gap: what is said of steps that were done and have no line that can be read; nothing if all have one.
    """

    def __init__(self, directory: Path, step: int, evaluated: int):
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / "metrics.jsonl"
        text = self.path.read_text(errors="replace") if self.path.is_file() and step else ""
        rows = [
            row for line in text.split("\n")[:-1] if (row := row_of(line)) is not None and type(row.get("step")) is int
        ]  # saves matter more than logs
        kept = [row for row in rows if row["step"] <= (evaluated if "split" in row else step)]
        missing = step - len({row["step"] for row in kept if "split" not in row})
        self.gap = f"{self.path}: {missing} of {step} steps have no line that can be read" if missing > 0 else ""
        write_whole(self.path, "".join(map(line_of, kept)))

    def add(self, rows: list[dict[str, Any]]) -> None:
        """Appends rows; each has a field `step`."""
        with self.path.open("a") as file:
            file.writelines(map(line_of, rows))
            file.flush()
            os.fsync(file.fileno())


def tensorboard_writer(directory: Path) -> Any:
    """A writer of TensorBoard files in the folder of a seed.

    Raises:
        InputError: the package that writes them is not installed.
    """
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise InputError("tensorboard=True needs a package: pip install 'stablefit[tensorboard]'") from None
    return SummaryWriter(str(directory / "tensorboard"))


def seed_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of finished seeds.

    Raises:
        InputError: a line is damaged, or its seed, which names a folder, is no whole number.
    """
    rows = read_lines(path)
    for number, row in enumerate(rows, start=1):
        if type(row.get("seed")) is not int:
            raise InputError(
                f"{path}:{number}: its seed is {row.get('seed')!r}, not a whole number; put back a copy of the file, "
                "or delete the line"
            )
    return rows


def save_predictions(directory: Path, arrays: dict[str, np.ndarray], **of: Any) -> None:
    """Writes predictions.npz in the folder of a seed, and what `of` says of it into its manifest."""
    file, temporary = directory / "predictions.npz", directory / ".predictions.tmp.npz"
    manifest.forget(file)
    np.savez_compressed(temporary, **arrays)  # pyright: ignore[reportArgumentType]
    with temporary.open("rb") as opened:
        os.fsync(opened.fileno())
    temporary.replace(file)
    if of:
        manifest.write(file, **of)
