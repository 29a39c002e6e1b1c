"""Frees the disk: removes the parameters of finished runs.

stablefit clean runs/methods_on_rte
"""

import contextlib
import fcntl
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from stablefit import program
from stablefit.errors import InputError

USAGE = """\
usage: stablefit clean WORKDIR [--keep=best|none] [--unnamed] [--yes]

Removes parameters of finished runs, after it has said how much that frees and
has asked. Scores, metrics and predictions stay, and so does what an unfinished
run goes on from and the model that `stablefit fit` keeps. Cells of a study that
its sweep has no more, because it was edited, are listed.

  WORKDIR        the --workdir of a run or of a study, or a folder of them
  --keep=best    the last parameters go, the best on validation stay (default)
  --keep=none    both go: predict, export and init_from cannot use the run
  --unnamed      instead, the cells that the sweep has no more: all of them,
                 scores too
  --yes          do not ask
  --help         this text
"""
REMOVED = ".removed"  # a folder is renamed before it is taken apart, so that no half of one is ever found


def main(argv: Sequence[str] | None = None) -> int:
    """Cleans and returns the exit code: 0 done or not wanted, 2 bad input."""
    return program.run(USAGE, _run, argv)


def _run(argv: Sequence[str]) -> int:
    parser = program.Arguments()
    parser.add_argument("workdir")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--keep", choices=("best", "none"), default="best")
    what.add_argument("--unnamed", action="store_true")
    parser.add_argument("--yes", action="store_true")
    given = parser.parse_args(argv)
    workdir = Path(given.workdir)
    if not workdir.is_dir():
        raise InputError(f"workdir {given.workdir!r} is not a folder; give that of a run or of a study")
    left = unnamed(workdir)
    runs = sorted(file.parent for file in workdir.rglob("results.jsonl") if (file.parent / "config.json").is_file())
    if not runs and not left:
        raise InputError(f"workdir {given.workdir!r} holds no finished run; give that of a run or of a study")
    with contextlib.ExitStack() as stack:
        for run in left if given.unnamed else runs:
            stack.enter_context(_alone(run))
        if given.unnamed:
            return _clean(left, "cells outside its sweep", workdir, given.yes)
        for cell in left:
            print(f"{cell}: no cell of the sweep has this setting; {_finished(cell)} finished, {_size([cell])}")
        if left:
            print(f"--unnamed removes {'it' if len(left) == 1 else 'them'}")
        folders = [folder for run in runs for folder in parameters(run, given.keep)]
        return _clean(folders, "parameters", workdir, given.yes)


def _clean(folders: Sequence[Path], kind: str, workdir: Path, yes: bool) -> int:
    if not folders:
        print(f"{workdir} holds no {kind} that would go")
        return 0
    what = f"{len(folders)} folders of {kind} in {workdir}, {_size(folders)}"
    if not yes:
        if not sys.stdin.isatty():
            raise InputError(f"{what}: nobody can be asked whether they may go; give --yes")
        print(f"{what}\nRemove them? [y/N] ", end="", flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            print("nothing is removed")
            return 0
    for folder in folders:
        remove(folder)
    print(f"removed {what}")
    return 0


def _size(folders: Sequence[Path]) -> str:
    from stablefit.training.plan import in_words

    return in_words(sum(file.lstat().st_size for folder in folders for file in folder.rglob("*")))


def _finished(run: Path) -> str:
    from stablefit.training.rundir import seed_rows

    n = len(seed_rows(run / "results.jsonl")) if (run / "results.jsonl").is_file() else 0
    return f"{n} seed{'' if n == 1 else 's'}"


def unnamed(workdir: Path) -> list[Path]:
    """The folders of cells that the cells.txt of their study does not name: of a sweep that was edited, or cut.

    Args:
        workdir: of a study, or a folder of them.
    """
    from stablefit.study.reading import cell_names

    left = []
    for file in sorted(workdir.rglob("cells.txt")):
        named = {mark for mark, _ in cell_names(file)}
        folders = sorted((file.parent / "cells").glob("*"))
        ours = [folder for folder in folders if (folder / "config.json").is_file() or folder.name.endswith(REMOVED)]
        left += [folder for folder in ours if folder.name not in named and not folder.is_symlink()]
    return left


def parameters(run: Path, keep: str) -> list[Path]:
    """The folders of parameters of finished seeds that go, and what an interrupted removal has left.

    Args:
        run: a run's directory.
        keep: best: only the last parameters go; none: the best go too.
    """
    from stablefit.training.rundir import seed_rows

    names = ["last", *(["best"] if keep == "none" else [])]
    names += [f".{name}{REMOVED}" for name in ("last", "best")]
    seeds = [run / f"seed_{row['seed']}" for row in seed_rows(run / "results.jsonl")]
    folders = [seed / name for seed in seeds if not seed.is_symlink() for name in names]
    return [folder for folder in folders if folder.is_dir() and not folder.is_symlink()]


def remove(folder: Path) -> None:
    """Takes a folder away so that a kill leaves it whole, or under a name that nothing reads."""
    aside = folder if folder.name.endswith(REMOVED) else folder.with_name(f".{folder.name}{REMOVED}")
    if aside != folder:
        shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)
    shutil.rmtree(aside)


@contextlib.contextmanager
def _alone(run: Path) -> Iterator[None]:
    """Holds the lock that a process which trains in the directory holds."""
    with (run / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(f"workdir {run} is in use by another process; wait for it") from None
        yield
