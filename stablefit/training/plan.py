"""What a run says before it starts, and the table at its end; plain text."""

import itertools
import math
import os
import shutil
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax

from stablefit import methods
from stablefit.data import batches
from stablefit.fields import FIELDS
from stablefit.models import hf_export, sources
from stablefit.models.families import family_of
from stablefit.models.vocabulary import Vocabulary
from stablefit.objectives import metrics
from stablefit.paths import depths, map_named, names
from stablefit.training import stopping
from stablefit.training.cohort import make_mesh
from stablefit.training.job import Job
from stablefit.training.recipe import reinit_mask


def announcement(job: Job, process: str = "") -> str:
    """What the run will do: model, task, sizes, steps, methods, parameter groups.

    Args:
        job: what is run.
        process: what `host.prepare` has set.
    """
    spec, task = job.spec, job.task
    size = job.encoder
    width = job.data["train"].tokens.shape[1]
    cut = ", ".join(f"{part.n_truncated} {name}" for name, part in job.data.items() if part.n_truncated)
    warmup = batches.warmup_steps(job.total_steps, job.hypers.warmup_ratio)
    count = sum(leaf.size for leaf in jax.tree.leaves(job.network.whole_shapes))
    most = max(len(seeds) for _, seeds in job.parts(job.settings.seeds))
    mesh = make_mesh(job.cohort_size(most), spec.batch_size).shape
    every = job.evaluation_steps[0]
    lines = [
        ("model", f"{job.source}: {size.num_hidden_layers} blocks x {size.hidden_size}, {count:,} parameters"),
        ("task", f"{task.name}: {job.objective}, best by {task.selection_metric}, reported in {task.report_metric}"),
        ("data", ", ".join(f"{job.n(name)} {name}" for name in job.data) + f"; {width} pieces long"),
        *job.objective.notes(job.data),
        *([("start", job.start.said)] if job.start else []),
        *([("cut", f"{cut} examples to max_length={spec.max_length}")] if cut else []),
        *([("skipped", f"{job.n_skipped} broken rows of the files are left out")] if job.n_skipped else []),
        *([("pieces", job.pieces)] if job.pieces else []),
        *([("reading", text)] if (text := _reading(job)) else []),
        *([("export", text)] if (text := no_export(job)) else []),
        *([("words", _words(job.words))] if job.words else []),
        ("steps", f"{job.total_steps} of {spec.batch_size} examples, {warmup} warm-up, evaluated every {every}"),
        *([("stopping", text)] if (text := _stopping(job)) else []),
        ("methods", ", ".join(methods_on(job)) or "none beside Adam"),
        ("seeds", f"{', '.join(map(str, job.settings.seeds))}; config {job.settings.fingerprint}"),
        ("disk", disk([job])),
        ("device", f"{job.provenance['device']}, mesh member={mesh['member']} data={mesh['data']}"),
        *([("process", process)] if process else []),
    ]
    return "\n".join(f"{name:<9}{text}" for name, text in lines) + "\n\n" + aligned(_groups(parameter_rows(job)))


def _reading(job: Job) -> str:
    """How a text becomes one vector, where that is not the pooler or the model's directory says something of it."""
    if job.task.kind == "tagging":
        return ""
    own, asked = job.spec.pooling, sources.read_at(sources.resolve(job.spec.model))
    at = "at its last token" if family_of(job.encoder).encoder.reads_last else "at [CLS]"
    ways = {"pooler": f"{at}, by the pooler", "cls": at, "mean": "by the mean of its pieces"}
    if asked == own:
        return f"each text {ways[own]}, as the model's 1_Pooling says"
    if asked:
        return f"each text {ways[own]}; the model's 1_Pooling says {ways[asked]}: pooling={asked}"
    return "" if own == "pooler" else f"each text {ways[own]}"


def no_export(job: Job) -> str:
    """Why `stablefit export` will refuse what is trained; "" if it will not."""
    said = "" if job.task.kind == "tagging" else hf_export.refusal(job.encoder, job.spec.pooling)
    return f"refused: {said}; stablefit predict reads the model" if said else ""


COPIES = {"best_and_last": 2, "best": 1, "none": 0}


def disk(jobs: Iterable[Job]) -> str:
    """How much the parameters take that the runs keep, and what would make it less."""
    total, most = 0, 0
    for job in jobs:
        copies = COPIES[job.values["keep"]]
        most = max(most, copies)
        one = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(job.network.whole_shapes))
        total += one * copies * len(job.settings.seeds)
    if not total:
        return "no parameters are kept (keep=none), only scores and predictions"
    less = "keep=none keeps none" if most == 1 else "keep=best keeps half of it, keep=none none"
    return f"about {in_words(total)} of parameters in the end; {less}"


def in_words(n_bytes: int) -> str:
    """A size as people say it.

    >>> in_words(181_000_000), in_words(1_640_000_000), in_words(2_100)
    ('181 MB', '1.6 GB', '2 kB')
    """
    if n_bytes >= 1e9:
        return f"{n_bytes / 1e9:.1f} GB"
    return f"{n_bytes / 1e6:.0f} MB" if n_bytes >= 1e6 else f"{n_bytes / 1e3:.0f} kB"


def minutes(jobs: Iterable[tuple[Job, Sequence[Mapping[str, Any]]]]) -> str:
    """How long the rest takes, by what finished runs took on such a device; empty if there are none, or no rest.

    Args:
        jobs: what is run, and the rows that there are of it.
    """
    seconds = done = rest = 0.0
    for job, rows in jobs:
        timed = [row for row in rows if "seconds" in row and row.get("device") == job.provenance["device"]]
        seconds += sum(row["seconds"] for row in timed)
        done += sum(row["steps"] for row in timed) * job.step_work
        finished = {row["seed"] for row in rows}
        rest += sum(seed not in finished for seed in job.settings.seeds) * job.total_steps * job.step_work
    if not (seconds and done and rest):
        return ""
    left = seconds / done * rest / 60
    return f"about {left:.0f} minutes" if left >= 1.5 else f"about {60 * left:.0f} seconds"


def _words(words: Vocabulary) -> str:
    return f"{len(words.pieces):,} of {len(words.table):,} word pieces occur and are trained; the rest follows exactly"


def _stopping(job: Job) -> str:
    n, patience = len(job.settings.seeds), job.values["patience"]
    said = [f"a run stops after {patience} evaluations without a better score"] if patience else []
    if job.comparison_step:
        kept = stopping.n_kept(n, job.values["keep_seeds"])
        said.append(f"at step {job.comparison_step} the {kept} best of {n} seeds are kept; the state of all is saved")
    return "; ".join(said)


def methods_on(job: Job) -> list[str]:
    """The methods that are not at their identity, as field=value."""
    on = [field.name for field in FIELDS.values() if field.is_method and job.values[field.name] != field.off]
    return [f"{name}={job.values[name]}" for name in on]


def parameter_rows(job: Job) -> list[tuple[str, ...]]:
    """One row a parameter: name, shape, depth, learning-rate multiplier, decay, whether it starts anew."""
    shapes, spec, hypers = job.network.whole_shapes, job.spec, job.hypers
    by_layer = methods.layer_multipliers(shapes, hypers.layer_decay, convention=spec.layer_decay_convention)
    by_path = methods.path_multipliers(shapes, spec.lr_multipliers)
    columns = (
        [tuple(leaf.shape) for leaf in jax.tree.leaves(shapes)],
        jax.tree.leaves(depths(shapes)),
        [a * b for a, b in zip(jax.tree.leaves(by_layer), jax.tree.leaves(by_path), strict=True)],
        jax.tree.leaves(methods.decay_mask(shapes)),
        jax.tree.leaves(reinit_mask(spec, shapes)),
        jax.tree.leaves(map_named(lambda name, _: name.split("/")[0] not in job.pretrained, shapes)),
    )
    return [
        (
            name,
            "x".join(map(str, shape)),
            str(depth),
            f"{multiplier:.4g}",
            f"{hypers.weight_decay:g}" if decays else "-",
            "new" if new else "re-initialised" if again else "pre-trained",
        )
        for name, shape, depth, multiplier, decays, again, new in zip(names(shapes), *columns, strict=True)
    ]


HEADER = ("parameter", "shape", "depth", "lr x", "decay", "start")


def parameter_table(job: Job) -> str:
    """`parameter_rows` as aligned text."""
    return aligned([HEADER, *parameter_rows(job)]) + "\n"


def _groups(rows: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Rows of one module and one treatment as one: `encoder/layer_3  16 leaves  1,774,464 ...`."""

    def key(row: tuple[str, ...]) -> tuple[str, ...]:
        module = "/".join(row[0].split("/")[:2]) if row[0].startswith("encoder/") else row[0].split("/")[0]
        return (module, *row[2:4], row[5])

    table: list[tuple[str, ...]] = [("group", "leaves", "size", "depth", "lr x", "decayed", "start")]
    ordered = sorted(rows, key=lambda row: (int(row[2]), key(row)))
    for (module, depth, multiplier, start), group in itertools.groupby(ordered, key):
        leaves = list(group)
        size = sum(math.prod(map(int, row[1].split("x"))) for row in leaves)
        decayed = sum(row[4] not in ("-", "0") for row in leaves)
        table.append((module, str(len(leaves)), f"{size:,}", depth, multiplier, str(decayed), start))
    return table


def result_table(rows: Sequence[dict[str, Any]], selection: str, report: str) -> str:
    """One row a seed, then mean, standard deviation, minimum, maximum, and how many runs failed.

    Where the seeds were compared and some stopped, the rest are chosen and no sample: only the best of all is said.
    """
    started = rows[0].get("started", 0)
    table: list[tuple[str, ...]] = [
        ("seed", "best step", f"validation {selection}", f"test {report}", "at the last step", "")
    ]
    columns = [
        [row["validation"].get(selection, 0.0) for row in rows],
        [row["test_best"][report] for row in rows],
        [row["test_last"][report] for row in rows],
    ]
    for row, *values in zip(rows, *columns, strict=True):
        notes = ["diverged" if row["diverged"] else "failed" if row["failed"] else ""]
        notes += [f"stopped by {row['stopped']} at {row['steps']}"] if row["stopped"] else []
        table.append(
            (
                str(row["seed"]),
                str(row["best_step"]),
                *(f"{value:.4f}" for value in values),
                ", ".join(filter(None, notes)),
            )
        )
    if started:
        return fitted(table, 5) + "\n\n" + _selection(rows, selection, report)
    if len(rows) > 1:
        for name, fn in (("mean", statistics.fmean), ("sd", statistics.stdev), ("min", min), ("max", max)):
            table.append((name, "", *(f"{fn(column):.4f}" for column in columns), ""))
    failed = sum(row["failed"] for row in rows)
    majority = rows[0]["majority"]
    return (
        fitted(table, 5) + f"\n\n{failed} of {len(rows)} runs failed: test {report} of the best step not above "
        f"{majority:.4f}, what {metrics.without_reading(report)}"
    )


def _selection(rows: Sequence[dict[str, Any]], selection: str, report: str) -> str:
    best = stopping.best_of_started(rows, selection)
    finished = sum(row["stopped"] != "seeds" for row in rows)
    return (
        f"{finished} of {rows[0]['started']} seeds were finished, the best on validation when they were compared; "
        f"together they cost {stopping.full_runs(rows):.1f} full runs\n"
        f"best of all on validation: seed {best['seed']}, test {report} {best['test_best'][report]:.4f}"
    )


def aligned(table: Sequence[Sequence[str]]) -> str:
    """Rows of cells as lines of columns."""
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table)
    return "\n".join(line.rstrip() for line in lines)


def fitted(table: Sequence[Sequence[str]], cut: int) -> str:
    """`aligned`, but in two blocks where it is wider than the terminal.

    Args:
        table: rows of cells; the first cell of a row is its name.
        cut: how many columns the first block has; the second has the name, and the rest of those rows that have one.
    """
    whole = aligned(table)
    width = terminal_width()
    if not width or max(map(len, whole.splitlines())) <= width:
        return whole
    rest = [(row[0], *row[cut:]) for i, row in enumerate(table) if i == 0 or any(row[cut:])]
    blocks = [[row[:cut] for row in table], *([rest] if len(rest) > 1 else [])]
    return "\n\n".join(map(aligned, blocks))


def terminal_width() -> int:
    """Columns of the terminal that is written to, or as COLUMNS says; 0 where nothing limits a line."""
    if os.environ.get("COLUMNS", "").isdecimal():
        return int(os.environ["COLUMNS"])
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
