"""The committed reports, made again from the committed results.

    python -m experiments.reports                writes them all into experiments/results
    python -m experiments.reports --check        writes nothing, and says which files would change
    python -m experiments.reports NAME ...       of these studies alone

PNG files are left out: the SVG files show the same.
"""

import sys
import tempfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from stablefit.study import report

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "experiments" / "results"
LEFT_OUT = ".png"
DRAWN = (".svg", ".pdf", ".html")  # files whose bytes depend on the version of matplotlib


def studies() -> list[str]:
    """The names of those that have a report."""
    return sorted(folder.parent.name for folder in RESULTS.glob("*/report") if folder.is_dir())


def made(name: str) -> dict[str, bytes]:
    """The files of a report, made now."""
    with tempfile.TemporaryDirectory() as folder:
        files = report.write(RESULTS / name, Path(folder))
        return {file.name: file.read_bytes() for file in files if file.suffix != LEFT_OUT}


def committed(name: str) -> dict[str, bytes]:
    """The files of a report as they are."""
    return {file.name: file.read_bytes() for file in (RESULTS / name / "report").iterdir()}


def same_matplotlib() -> bool:
    """Whether figures are drawn by the version that drew the committed ones, which is that of constraints.txt."""
    return f"matplotlib=={metadata.version('matplotlib')}" in (ROOT / "constraints.txt").read_text().splitlines()


def changed(name: str, drawn: bool = True) -> list[str]:
    """The files that would be other ones, or are too many or too few.

    Args:
        name: of the study.
        drawn: whether those with figures are compared too, with the matplotlib that drew them.
    """
    new, old = made(name), committed(name)
    left_out = () if drawn and same_matplotlib() else DRAWN
    return sorted(
        file for file in new.keys() | old.keys() if new.get(file) != old.get(file) and Path(file).suffix not in left_out
    )


def main(argv: Sequence[str]) -> int:
    names = [argument for argument in argv if argument != "--check"] or studies()
    found = False
    for name in names:
        folder = RESULTS / name / "report"
        if "--check" in argv:
            differing = changed(name)
            found |= bool(differing)
            print(f"{name}: {', '.join(differing) or 'the same'}")
            continue
        new = made(name)
        folder.mkdir(exist_ok=True)
        for file in folder.iterdir():
            if file.name not in new:
                file.unlink()
        for file, content in new.items():
            (folder / file).write_bytes(content)
        print(f"{name}: {len(new)} files")
    return int(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
