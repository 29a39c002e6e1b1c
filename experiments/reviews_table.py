"""The demo's 400 training reviews as a person's table: text, label, movie.

python -m experiments.reviews_table reviews400.csv
"""

import csv
import sys
from pathlib import Path

from stablefit.data import splits, tasks


def main() -> None:
    task = tasks.get_task("reviews")
    part = splits.load_splits(task, None, train_examples=400).train
    with Path(sys.argv[1]).open("x", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", "movie"])
        for text, label, name in zip(part.texts_a, part.labels, part.ids, strict=True):
            writer.writerow([text, task.labels[label], name.split(":")[2]])


if __name__ == "__main__":
    main()
