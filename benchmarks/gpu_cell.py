"""One cell of another sweep, for `gpu_cells.py`: `SWEEP` is its file, `CELL` its number."""

import os
from pathlib import Path

from stablefit.study import grid


def sweep(add):
    cell = grid.expand(Path(os.environ["SWEEP"]))[int(os.environ["CELL"])]
    add(config=cell.config, name=cell.name, control=cell.control, **cell.changes)
