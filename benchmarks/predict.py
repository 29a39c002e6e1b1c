"""New texts labelled by `stablefit.serve`, beside the pipeline of transformers on the exported model.

    .venv/bin/python -m benchmarks.predict --rounds=5 --out=benchmarks/results/predict.json

Both have the same weights (MiniLM with a pooler and a head of two classes, which is what a stock BERT has) and the same
texts: review snippets as they are, and several of them joined, for longer texts. Two processes are started, load, and
answer once unmeasured; then they take turns, so that both meet the same load. Time is from a list of texts to a list of
answers, tokenizer included. The pipeline is asked with several batch sizes, and its best is what counts; `sorted` is
what it does with texts that its user has sorted by length, and put back in order, before. On a machine that does other
things too, PyTorch's threads wait for each other and the ratio says nothing.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.step_time import MODEL, machine

BATCHES = (1, 8, 32, 128)
SETS = ("short", "long")
_LIMIT = 128  # tokens


def texts_of(name: str, count: int) -> list[str]:
    """The first snippets of the film reviews; of `long` one text is 1 to 8 of them."""
    from stablefit.data import reviews, tasks

    pool, _, _ = reviews.load_reviews(tasks.get_task("reviews"))
    if name == "short":
        return pool.texts_a[:count]
    sizes = np.random.default_rng(0).integers(1, 9, count)
    ends = np.cumsum(sizes)
    return [" ".join(pool.texts_a[end - size : end]) for end, size in zip(ends, sizes, strict=True)]


def write_model(folder: Path) -> None:
    """A run's kept model with a new head, and the directory that is exported from it."""
    import jax

    from stablefit.models import heads, hf
    from stablefit.serve.export import export
    from stablefit.training import checkpoints
    from stablefit.training.bundle import Bundle

    base = hf.resolve(MODEL)
    config = hf.load_config(base)
    encoder, _ = hf.load_encoder(base, config)
    params = {"encoder": encoder, "head": heads.init_head(jax.random.key(0), config.hidden_size, 2)}
    bundle = Bundle(
        folder=base,
        kind="classification",
        task="reviews",
        labels=("rotten", "fresh"),
        pooling="pooler",
        max_length=_LIMIT,
        text_columns=(),
        label_columns=(),
        id_column="",
        group_column="",
        join_texts=False,
        pair=False,
        thresholds=None,
        unit="word",
        pieces="word",
        crf=False,
        selection_metric="accuracy",
        report_metric="accuracy",
        model={"source": MODEL, "revision": None},
        settings={},
        versions={},
    )
    bundle.write(folder / "fit" / "bundle")
    checkpoints.save_params(folder / "fit" / "members" / "0", jax.device_get(params))
    export(folder / "fit", folder / "exported")


def ours(folder: Path) -> Callable[[Sequence[str], str], Any]:
    """Texts -> labels, with stablefit."""
    from stablefit.serve.model import load
    from stablefit.training import host

    host.prepare()
    model = load(folder / "fit")
    return lambda texts, _: model.predict(texts)


def theirs(folder: Path) -> Callable[[Sequence[str], str], Any]:
    """Texts -> labels, with the pipeline; `how` is its batch size, with an s behind it for texts sorted by length."""
    import torch  # pyright: ignore[reportMissingImports]
    from transformers import pipeline

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    model: Any = pipeline("text-classification", model=str(folder / "exported"), device="cpu")

    def answer(texts: Sequence[str], how: str) -> list[str]:
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i])) if how.endswith("s") else range(len(texts))
        size = int(how.rstrip("s"))
        found = model([texts[i] for i in order], batch_size=size, truncation=True)
        labels = [""] * len(texts)
        for i, one in zip(order, found, strict=True):
            labels[i] = one["label"]
        return labels

    return answer


def work(who: str, folder: Path, count: int) -> None:
    """Answers lines `set how` on standard input with the seconds it took, and the number of labels of each name."""
    answer = {"ours": ours, "theirs": theirs}[who](folder)
    texts = {name: texts_of(name, count) for name in SETS}
    print("ready", flush=True)
    for line in sys.stdin:
        name, how = line.split()
        start_s = time.perf_counter()
        labels = answer(texts[name], how)
        took_s = time.perf_counter() - start_s
        print(json.dumps({"seconds": took_s, "fresh": sum(label == "fresh" for label in labels)}), flush=True)


def start(who: str, folder: Path, count: int) -> subprocess.Popen[str]:
    """A worker, ready to answer."""
    line = [sys.executable, "-m", "benchmarks.predict", "--work", who, "--folder", str(folder), "--texts", str(count)]
    worker = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert worker.stdout is not None
    if worker.stdout.readline().strip() != "ready":
        raise SystemExit(f"stablefit: the worker {who} did not start; is PyTorch installed?")
    return worker


def ask(worker: subprocess.Popen[str], name: str, how: str) -> dict[str, float]:
    """What a worker answers."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write(f"{name} {how}\n")
    worker.stdin.flush()
    return json.loads(worker.stdout.readline())


def measure(folder: Path, count: int, rounds: int, batches: Sequence[int]) -> dict[str, Any]:
    """Texts a second of each, and the ratio to the pipeline's best way; medians over rounds."""
    workers = {who: start(who, folder, count) for who in ("ours", "theirs")}
    ways = [
        ("ours", "-"),
        *(("theirs", f"{size}{order}") for order in ("", "s") for size in batches if size > 1 or not order),
    ]
    found: dict[str, Any] = {}
    for name in SETS:
        fresh = {ask(workers[who], name, how)["fresh"] for who, how in ways}
        if max(fresh) - min(fresh) > count // 200:  # ties of a head that knows nothing may fall either way
            raise SystemExit(f"stablefit: the answers differ: {fresh} of {count} are fresh")
        taken: dict[tuple[str, str], list[float]] = {way: [] for way in ways}
        for _ in range(rounds):
            for who, how in ways:
                taken[who, how].append(ask(workers[who], name, how)["seconds"])
        plain, by_length = (
            [way for way in ways[1:] if way[1].endswith("s") == is_sorted] for is_sorted in (False, True)
        )
        speeds = {" ".join(way): round(count / statistics.median(s), 1) for way, s in taken.items()}
        found[name] = {**ratio(taken, plain), "sorted": ratio(taken, by_length), "texts_per_s": speeds}
        print(f"{name}: {found[name]['ratio']} times the pipeline's best, {json.dumps(found[name])}", file=sys.stderr)
    for worker in workers.values():
        worker.kill()
    return found


def ratio(taken: Mapping[tuple[str, str], Sequence[float]], ways: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """How many times as fast ours is as the best of the pipeline's ways, over rounds: in each both met the same load.

    >>> ratio({("ours", "-"): [1.0, 2.0], ("theirs", "8"): [2.0, 6.0], ("theirs", "1"): [5.0, 5.0]}, [("theirs", "8")])
    {'ratio': 2.5, 'least': 2.0, 'most': 3.0, 'best_batch': 8}
    """
    if not ways:
        return {}
    best = min(ways, key=lambda way: statistics.median(taken[way]))
    found = [theirs_s / ours_s for ours_s, theirs_s in zip(taken["ours", "-"], taken[best], strict=True)]
    numbers = {"ratio": statistics.median(found), "least": min(found), "most": max(found)}
    return {**{name: round(value, 2) for name, value in numbers.items()}, "best_batch": int(best[1].rstrip("s"))}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--batches", default=",".join(map(str, BATCHES)))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--work", choices=("ours", "theirs"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work, options.folder, options.texts)
        return
    with tempfile.TemporaryDirectory() as name:
        write_model(Path(name))
        sizes = [int(size) for size in options.batches.split(",")]
        found = measure(Path(name), options.texts, options.rounds, sizes)
    versions = {package: version(package) for package in ("jax", "torch", "transformers")}
    about = {"machine": machine(), "versions": versions, "texts": options.texts, "rounds": options.rounds, **found}
    text = json.dumps(about, indent=2) + "\n"
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
