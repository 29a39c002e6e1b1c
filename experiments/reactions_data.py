"""Folders of train and test tables from the published splits of reaction yields, for `experiments/reactions.py`.

    STABLEFIT_DATA=DIR python -m experiments.reactions_data OUT

OUT/order_K_N holds train.tsv, the first N reactions of order K, and test.tsv, 500 of the others, drawn once: all of
them (3,758 and more) would cost more than the training, and the difference is a standard error of about .02 on R2.
"""

import csv
import os
import sys
from pathlib import Path

import numpy as np

SIZES = (98, 197)
N_TEST = 500


def main() -> None:
    source = Path(os.environ.get("STABLEFIT_DATA", "../shared/data")) / "reaction_yields"
    out = Path(sys.argv[1])
    with (source / "buchwald_hartwig.tsv").open(newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file, delimiter="\t")}
    with (source / "buchwald_hartwig_orders.tsv").open(newline="") as file:
        table = list(csv.DictReader(file, delimiter="\t"))
    for number, column in enumerate(table[0]):
        order = [row[column] for row in table]
        for n in SIZES:
            drawn = np.random.default_rng(number).permutation(len(order) - n)[:N_TEST] + n
            folder = out / f"order_{number + 1}_{n}"
            folder.mkdir(parents=True, exist_ok=True)
            _write(folder / "train.tsv", [rows[name] for name in order[:n]])
            _write(folder / "test.tsv", [rows[order[i]] for i in sorted(drawn)])
    print(f"{2 * len(table[0])} folders in {out}")


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["id", "reaction", "yield"], delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
