"""Training steps on one GPU beside PyTorch transformers: time, sequences per second, MFU, memory, cohorts of seeds.

    .venv/bin/python -m benchmarks.gpu --out=benchmarks/results/gpu.json
    .venv/bin/python -m benchmarks.gpu --out=benchmarks/results/gpu.json --only=MiniLM    # only what it lacks
    .venv/bin/python -m benchmarks.gpu --device=cpu --small    # only to see that the script runs

A step is forward, backward, clipping and AdamW in bf16 with fp32 weights, dropout 0.1, rows without padding, random
weights. Ours is the program that runs use, `Cohort.train`, with `compute_dtype=bfloat16`; time has one trip to the host
for each `--steps` steps in it, as a run's. PyTorch: sdpa attention, fused AdamW, bf16 autocast, torch.compile. Each
lives in its own process on the same card; the rounds alternate. The attention of a block is then timed alone, forward
and backward: as the model has it, and the fused ones that could take its place.

    FLOP of a step = 6 N tokens + 12 L B S^2 D    N: entries of the blocks' kernels; forward 2, backward 4 per entry
    MFU = FLOP / time / peak;    floor = FLOP / peak + 28 bytes per parameter (AdamW in fp32) / memory bandwidth

On a machine with a GPU: .venv/bin/pip install -c constraints.txt 'jax[cuda13]' torch, or cuda12 for an older driver.
"""

import argparse
import functools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.step_time import ask, machine, one_line


class Case(NamedTuple):
    """A model's sizes, a batch's, and how many members one program trains."""

    name: str
    layers: int
    width: int
    heads: int
    rows: int
    length: int
    cohorts: tuple[int, ...] = (1,)
    vocabulary: int = 30522

    @property
    def kernels(self) -> int:
        """N: entries of the matrices that every token goes through."""
        return self.layers * 12 * self.width**2

    @property
    def parameters(self) -> int:
        """All of the encoder's, without its pooler and a head: kernels, biases, LayerNorms, embeddings."""
        return self.kernels + self.layers * 13 * self.width + (self.vocabulary + 512 + 2 + 2) * self.width

    @property
    def flop(self) -> int:
        """Of one step of one member."""
        attention = 12 * self.layers * self.rows * self.length**2 * self.width
        return 6 * self.kernels * self.rows * self.length + attention


COHORTS = (1, 8, 32)
ATTENTION = "attention"  # as a name of --only
CASES = (
    Case("MiniLM-L6", 6, 384, 12, 32, 128, COHORTS),
    Case("MiniLM-L6", 6, 384, 12, 16, 64, COHORTS),
    Case("BERT-base", 12, 768, 12, 32, 128),
    Case("BERT-large", 24, 1024, 16, 32, 128),
)
SMALL = (Case("tiny", 2, 16, 2, 4, 8, (1, 2), 64),)


class Card(NamedTuple):
    """What a GPU can do, from NVIDIA's data sheets: dense bf16 FLOP per second, bytes per second of its memory."""

    peak: float
    bandwidth: float


# By what `device_kind` contains, the first that does.
CARDS = {
    "B200": Card(2250e12, 8.0e12),
    "H200": Card(989e12, 4.8e12),
    "H100 PCIe": Card(756e12, 2.0e12),
    "H100 80GB HBM3": Card(989e12, 3.35e12),  # SXM
    "A100-SXM4-80GB": Card(312e12, 2.039e12),
    "A100-SXM4-40GB": Card(312e12, 1.555e12),
    "A100 80GB PCIe": Card(312e12, 1.935e12),
    "A100-PCIE-40GB": Card(312e12, 1.555e12),
    "L40S": Card(362e12, 0.864e12),
    "L4": Card(121e12, 0.3e12),
}


def card(kind: str) -> Card | None:
    """The figures of a device; None for one that is not in the table."""
    return next((known for name, known in CARDS.items() if name in kind), None)


def entry(case: Case, members: int, step_s: Sequence[float], peak_gb: float | None, known: Card | None) -> dict:
    """What is told of one contender.

    Args:
        step_s: seconds of a step of all members, one number a round.
        known: without it there is neither MFU nor floor.
    """
    median = statistics.median(step_s)
    flop = members * case.flop
    found = {
        "step_ms": 1e3 * median,
        "step_min_ms": 1e3 * min(step_s),
        "step_max_ms": 1e3 * max(step_s),
        "seq_per_s": members * case.rows / median,
        "mfu": flop / median / known.peak if known else None,
        "floor_ms": 1e3 * members * (case.flop / known.peak + 28 * case.parameters / known.bandwidth)
        if known
        else None,
        "peak_gb": peak_gb,
    }
    return {name: None if value is None else float(f"{value:.4g}") for name, value in found.items()}


def stablefit_steps(case: Case, members: int, steps: int) -> Callable[[], float]:
    """A function that trains a cohort for some steps and returns the last loss of its first member."""
    import jax

    from configs import base
    from stablefit.data import batches, packing, tasks
    from stablefit.data.encoding import Encoded
    from stablefit.models.config import EncoderConfig
    from stablefit.objectives.classification import Classification
    from stablefit.training import job, settings
    from stablefit.training.steps import Table

    encoder = EncoderConfig(case.vocabulary, case.width, case.layers, case.heads, 4 * case.width)
    network = Classification(tasks.get_task("rte"))
    init = jax.jit(functools.partial(network.model(encoder, 0.0, np.float32).init, deterministic=True))
    weights = jax.device_get(init(jax.random.key(1), *[np.ones((1, 8), np.int32)] * 3)["params"]["encoder"])
    tokens, labels = examples(case, steps)
    types, lengths = np.zeros_like(tokens), np.full(len(tokens), case.length)
    data = Encoded(tokens, types, types + 1, labels, lengths, 0)

    config = base.get_config()
    config.update(task="rte", batch_size=case.rows, max_steps=10_000, weight_decay=0.01, compute_dtype="bfloat16")
    chosen = settings.read(config.to_dict())
    whole = {"encoder": weights}
    the_job = job.Job(chosen, network.task, network, "random", encoder, whole, None, {"train": data})
    cohort = the_job.cohort(members, the_job.total_steps)
    order, weight = batches.schedule(len(tokens), case.rows, steps, 0)
    where = packing.places(order, weight, lengths, case.length)
    layout = packing.layout(order, weight, where, lengths, case.length, case.rows)
    layout = packing.in_parts(layout, case.rows, case.rows)
    layout = packing.Layout(*(np.stack([x] * members) for x in layout))
    layout = cohort.put_batches(layout, by_member=True)
    table = cohort.put(Table(tokens, types, labels))
    traced = cohort.traced([chosen.hypers] * members)
    keys = cohort.put(jax.random.split(jax.random.key(0), members), "member")
    held = [cohort.init(keys, cohort.put(whole), traced)]

    def run() -> float:
        held[0], records = cohort.train(held[0], table, layout, keys, steps, traced)
        return float(np.asarray(records["loss"])[0, -1])

    return run


def examples(case: Case, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Tokens [N, T] and labels [N] of the batches of some steps."""
    random = np.random.default_rng(1)
    tokens = random.integers(0, case.vocabulary, (steps * case.rows, case.length), np.int32)
    return tokens, random.integers(0, 2, len(tokens), np.int32)


def torch_steps(case: Case, steps: int, device: str) -> Callable[[], float]:
    """The same in PyTorch: some steps, then the last loss."""
    import torch  # pyright: ignore[reportMissingImports]
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    torch.set_float32_matmul_precision("high")
    sizes: dict[str, Any] = {
        "vocab_size": case.vocabulary,
        "hidden_size": case.width,
        "num_hidden_layers": case.layers,
        "num_attention_heads": case.heads,
        "intermediate_size": 4 * case.width,
        "num_labels": 2,
        "attn_implementation": "sdpa",
    }
    model: Any = BertForSequenceClassification(BertConfig(**sizes))
    model = model.to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5, weight_decay=0.01, fused=True)
    forward = torch.compile(model) if device == "cuda" else model
    shape = (steps, case.rows)
    tokens, labels = (torch.tensor(x.reshape(*shape, *x.shape[1:])).long().to(device) for x in examples(case, steps))
    mask = torch.ones_like(tokens[0])

    def run() -> float:
        loss = torch.zeros(())
        for i in range(steps):
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(device, dtype=torch.bfloat16):
                loss = forward(tokens[i], mask, labels=labels[i]).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        return float(loss.detach())

    return run


def work(framework: str, case: Case, members: int, steps: int, device: str) -> None:
    """A worker: for each line on standard input some steps, and one line of JSON."""
    try:
        if framework == "look":
            return print(json.dumps(look(device)), flush=True)
        if framework == "attention":
            from benchmarks.attention import attention_times

            found = attention_times(case.rows, case.length, case.heads, case.width // case.heads, device == "cuda")
            return print(json.dumps(found), flush=True)
        is_torch = framework == "torch"
        if not is_torch:
            from stablefit.training import host

            host.prepare()  # as runs do
        run = torch_steps(case, steps, device) if is_torch else stablefit_steps(case, members, steps)
        run()  # compiles
        run()
        print("{}", flush=True)
        for _ in sys.stdin:
            start_s = time.perf_counter()
            loss = run()
            step_s = (time.perf_counter() - start_s) / steps
            print(json.dumps({"step_s": step_s, "loss": loss, "peak_gb": _peak_gb(is_torch)}), flush=True)
    except Exception as error:  # out of memory, most likely: a row of the table, not the end of it
        print(json.dumps({"error": one_line(error)}), flush=True)


def look(device: str) -> dict[str, Any]:
    """What there is: the device as JAX and as PyTorch see it, "" where they do not."""
    import jax

    found = {"jax": "", "torch": ""}
    try:
        found["jax"] = jax.devices("gpu" if device == "cuda" else device)[0].device_kind
        import torch  # pyright: ignore[reportMissingImports]

        found["torch"] = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    except Exception:  # no plug-in, no driver, no card, no torch: each has an error of its own
        pass
    return found


def _peak_gb(is_torch: bool) -> float | None:
    if is_torch:
        import torch  # pyright: ignore[reportMissingImports]

        return torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else None
    import jax

    stats = jax.local_devices()[0].memory_stats()
    return stats["peak_bytes_in_use"] / 1e9 if stats else None


@contextmanager
def worker(framework: str, case: Case, members: int, options: argparse.Namespace) -> Iterator[subprocess.Popen[str]]:
    """A process that `work`s, ended when it is left."""
    arguments = [framework, json.dumps(case), str(members), str(options.steps), options.device]
    # JAX would take three quarters of the memory at its start, whatever it needs.
    environment = os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "HF_HUB_OFFLINE": "1"}
    if options.device == "cpu":
        environment["JAX_PLATFORMS"] = "cpu"
    command = [sys.executable, "-m", "benchmarks.gpu", "--worker", *arguments]
    pipe = subprocess.PIPE
    errors = subprocess.DEVNULL if sys.stderr.isatty() else None  # a log has them, a table on a terminal does not
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=errors, env=environment, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def measure(case: Case, options: argparse.Namespace, known: Card | None) -> Iterator[dict[str, Any]]:
    """A row for each size of cohort: ours, PyTorch's, the ratio of the time of a member's step."""
    with worker("torch", case, 1, options) as theirs:
        ready: dict[str, dict[str, Any]] = {}
        for members in case.cohorts:
            with worker("stablefit", case, members, options) as ours:
                if not ready:  # it compiles beside the first of ours
                    ready["torch"] = json.loads(ask(theirs))
                ready["stablefit"] = json.loads(ask(ours))
                both = {name: one for name, one in (("stablefit", ours), ("torch", theirs)) if not ready[name]}
                said: dict[str, list[dict[str, Any]]] = {name: [] for name in both}
                load = round(os.getloadavg()[0], 1)  # compiling is over
                for _ in range(options.rounds):
                    for name, process in both.items():
                        assert process.stdin is not None
                        process.stdin.write("\n")
                        process.stdin.flush()
                        said[name].append(json.loads(ask(process)))
            row: dict[str, Any] = {"case": label(case), "members": members, "load": load, **ready}
            for name, samples in said.items():
                size = members if name == "stablefit" else 1
                row[name] = entry(case, size, [s["step_s"] for s in samples], samples[-1]["peak_gb"], known)
            if len(said) == 2:
                row["ratio"] = round(row["stablefit"]["step_ms"] / members / row["torch"]["step_ms"], 3)
            yield row


def label(case: Case) -> str:
    """The name of a case in tables."""
    return f"{case.name} {case.rows}x{case.length}"


def show(row: Mapping[str, Any]) -> None:
    """Prints the lines of a row."""
    for name in ("stablefit", "torch"):
        values = row[name]
        start = f"{row['case']:<18}{row['members'] if name == 'stablefit' else 1:>4}  {name:<10}"
        if "error" in values:
            print(f"{start}{values['error']}", flush=True)
            continue
        cells = "".join(f"{'-' if value is None else value:>12}" for value in values.values())
        print(f"{start}{cells}{row.get('ratio', '') if name == 'stablefit' else '':>8}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--worker", nargs=5, help=argparse.SUPPRESS)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--small", action="store_true", help="a tiny model")
    parser.add_argument(
        "--only", default="", help="cases with this in their names, such as MiniLM or 16x64; or attention"
    )
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=32, help="steps in a round; a run takes at most 32 at a time")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    options = parser.parse_args()
    if options.worker:
        framework, sizes, members, steps, device = options.worker
        work(framework, Case(*json.loads(sizes)), int(members), int(steps), device)
        return 0
    cases = SMALL if options.small else CASES
    with worker("look", SMALL[0], 1, options) as process:
        devices = json.loads(ask(process))
    if not (devices["jax"] and devices["torch"]):
        lacks = "JAX sees no GPU" if not devices["jax"] else "PyTorch, or its GPU build, is missing"
        print(f"benchmarks.gpu: {lacks}; see the head of benchmarks/gpu.py", file=sys.stderr)
        return 2
    known = card(devices["jax"])
    about: dict[str, Any] = machine()
    del about["load"]  # each row says its own
    about |= {"device": devices["jax"], "rounds": options.rounds, "steps": options.steps}
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    if known:
        figures = (
            f"peak {known.peak / 1e12:g} TFLOP/s dense bf16, {known.bandwidth / 1e12:g} TB/s, of NVIDIA's data sheet"
        )
    else:
        figures = "a device that is not in the table CARDS of this script: no MFU and no floor"
    print(figures)
    columns = ("step ms", "min", "max", "seq/s", "MFU", "floor ms", "peak GB")
    print(f"{'':<18}{'seeds':>4} {'':<11}" + "".join(f"{name:>12}" for name in columns) + f"{'ratio':>8}")
    result = {"about": about, "figures": figures, "results": [], "attention_us": {}}
    if options.out and options.out.is_file() and (before := json.loads(options.out.read_text()))["figures"] == figures:
        result = before  # of the same kind of card: what it has is not measured again

    def write() -> None:
        if options.out:
            options.out.write_text(json.dumps(result, indent=1) + "\n")

    done = [(row["case"], row["members"]) for row in result["results"]]
    for case in (case for case in cases if options.only in label(case)):
        left = tuple(members for members in case.cohorts if (label(case), members) not in done)
        for row in measure(case._replace(cohorts=left), options, known) if left else ():
            show(row)
            result["results"].append(row)
            write()
    for case in cases:
        if options.only in ("", ATTENTION) and label(case) not in result["attention_us"]:
            with worker("attention", case, 1, options) as process:
                result["attention_us"][label(case)] = found = json.loads(ask(process))
            print(f"attention of a block of {label(case)}, forward and backward, us: {found}")
            write()
    return 0


if __name__ == "__main__":
    sys.exit(main())
