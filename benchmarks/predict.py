"""New texts labelled by `stablefit.serve`, beside the pipeline of transformers on the exported model.

    make bench-predict TORCH_PYTHON=python of an environment that has PyTorch and what stablefit needs
    python -m benchmarks.predict --rounds=5 --out=benchmarks/results/predict.json

Both have the same weights (MiniLM and a head of two classes) and the same texts: review snippets as they are (`short`),
and one to eight of them joined (`long`), cut at 128 pieces by both. `pooler` is a model that reads a text as a stock
BERT does; `mean` is what `stablefit fit` makes, which the pipeline runs as `stablefit export` writes it, with a seventh
block that takes the mean. Two processes are started, load, and answer once unmeasured; then they take turns, so that
both meet the same load. Time is from a list of texts to a list of answers, tokenizer included; both use every core that
the process may use (`taskset -c 0` before the command: one). The pipeline is asked with several batch sizes, and its
best is what counts; `sorted` is what it does with texts that its user has sorted by length, and put back in order,
before. A ratio is of two times of one round; medians over rounds. On a machine that does other things too, PyTorch's
threads wait for each other: there the ratio of processor time (`cpu_ratio`) says more.
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
POOLINGS = ("pooler", "mean")
CLOCKS = ("seconds", "cpu_s")
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


def write_model(folder: Path, members: int = 1, pooling: str = "pooler") -> None:
    """A fit's kept model, each member with a new head, and the directory that is exported from it."""
    import jax

    from stablefit.fit import kept
    from stablefit.models import heads, hf
    from stablefit.serve.export import export
    from stablefit.training.bundle import Bundle

    base = hf.resolve(MODEL)
    config = hf.load_config(base)
    encoder, _ = hf.load_encoder(base, config)
    rest: dict[str, Any] = {}
    if pooling == "mean":
        size = config.hidden_size
        rest["pooling"] = {"LayerNorm": {"scale": np.ones(size, np.float32), "bias": np.zeros(size, np.float32)}}
    if pooling != "pooler":
        encoder.pop("pooler", None)
    head = [jax.device_get(heads.init_head(jax.random.key(i), config.hidden_size, 2)) for i in range(members)]
    bundle = Bundle(
        folder=base,
        kind="classification",
        task="reviews",
        labels=("rotten", "fresh"),
        pooling=pooling,
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
    trees = [{"encoder": encoder, "head": one, **rest} for one in head]
    kept.write_model(folder / "fit" / "model", bundle, trees, {})
    if members == 1:
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
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        labels = answer(texts[name], how)
        took = {"seconds": time.perf_counter() - wall_s, "cpu_s": time.process_time() - cpu_s}
        print(json.dumps({**took, "fresh": sum(label == "fresh" for label in labels)}), flush=True)


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
    if not (line := worker.stdout.readline()):
        raise SystemExit(f"stablefit: a worker stopped when it was asked for {name} {how}")
    return json.loads(line)


def measure(folder: Path, count: int, rounds: int, batches: Sequence[int]) -> dict[str, Any]:
    """Of each set of texts the texts a second of each, and the ratios to the pipeline's best way."""
    workers = {who: start(who, folder, count) for who in ("ours", "theirs")}
    plain = [("theirs", f"{size}") for size in batches]
    by_length = [("theirs", f"{size}s") for size in batches if size > 1]
    ways = [("ours", "-"), *plain, *by_length]
    found: dict[str, Any] = {}
    for name in SETS:
        fresh = {ask(workers[who], name, how)["fresh"] for who, how in ways}
        if max(fresh) - min(fresh) > max(1, count // 200):  # ties of a head that knows nothing may fall either way
            raise SystemExit(f"stablefit: the answers differ: {fresh} of {count} are fresh")
        taken: dict[str, dict[tuple[str, str], list[float]]] = {of: {way: [] for way in ways} for of in CLOCKS}
        for _ in range(rounds):
            for way in ways:
                answer = ask(workers[way[0]], name, way[1])
                for clock, times in taken.items():
                    times[way].append(answer[clock])
        speeds = {" ".join(way): round(count / statistics.median(s), 1) for way, s in taken["seconds"].items()}
        found[name] = {**ratios(taken, plain), "sorted": ratios(taken, by_length), "texts_per_s": speeds}
        print(f"{name}: {found[name]['ratio']} times the pipeline's best, {json.dumps(found[name])}", file=sys.stderr)
    for worker in workers.values():
        worker.kill()
        worker.wait()
    return found


def ratios(taken: Mapping[str, Mapping[Any, Sequence[float]]], ways: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """`ratio` by the clock on the wall, and by processor time."""
    if not ways:
        return {}
    return {**ratio(taken["seconds"], ways), "cpu_ratio": ratio(taken["cpu_s"], ways)["ratio"]}


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
    parser.add_argument("--poolings", default=",".join(POOLINGS))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--work", choices=("ours", "theirs"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work, options.folder, options.texts)
        return
    sizes = [int(size) for size in options.batches.split(",")]
    found = {}
    for pooling in options.poolings.split(","):
        with tempfile.TemporaryDirectory() as name:
            write_model(Path(name), pooling=pooling)
            found[pooling] = measure(Path(name), options.texts, options.rounds, sizes)
    versions = {package: version(package) for package in ("jax", "torch", "transformers")}
    about = {
        "machine": {**machine(), "cores_used": len(os.sched_getaffinity(0))},
        "versions": versions,
        "texts": options.texts,
        "rounds": options.rounds,
        **found,
    }
    text = json.dumps(about, indent=2) + "\n"
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
