"""XLA's compiler for TPUs on the programs that runs use, without a TPU: what they need, and checks that can fail.

    make tpu-check                                         # all cases, those that have no row yet; hours on two cores
    .venv-tpu/bin/python -m benchmarks.tpu_compile --only='MiniLM rte bfloat16'
    .venv-tpu/bin/python -m benchmarks.tpu_compile --list

The package `libtpu` has the compiler, and describes a slice of chips that is not there. Each program is compiled in a
process of its own, with a limit of time and a floor under the machine's free memory, and its row is written when it is
there: the same command goes on. What is compiled is `Cohort`'s own program, lowered from shapes (`Cohort.lower`).

    HBM needed = arguments + outputs - outputs that lie in donated arguments + temporaries + code;  on one chip
    FLOP       = as the compiler counts on one chip: of `train` those of one step, since its loop's length is not known;
                 not where blocks are a loop, of which it counts one

Checks, each an empty text or what is wrong:

    alone       where a member is not spread over chips there is no collective: members never talk
    gradients   where it is, training has all-reduces alone, and they carry the gradients and little else; those of
                pooler and head need none: of the vectors that they read every chip has all, after an all-reduce
    fits        the compiler finds room, and what it needs is in the chip's memory
    bfloat16    in a bfloat16 program no product of a block has a float32 input, nor one of which it is not said where
                it comes from
    host        nothing goes to the host or back while the program runs
    donated     every donated array lies where its successor does
"""

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax

from benchmarks import hlo
from benchmarks.tpu_programs import PROGRAMS, Case, lowered, reckoned
from stablefit.training import host
from stablefit.training.files import write_whole
from stablefit.training.memory import tree_bytes

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "tpu_compile.json"
# libtpu looks for a machine's TPUs and their metadata server, and writes logs, unless it is told not to.
ENVIRONMENT = {
    "JAX_PLATFORMS": "cpu",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_MIN_LOG_LEVEL": "3",
    "TPU_LOG_DIR": "disabled",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",  # there is no chip that two processes could want
}


def cases() -> list[Case]:
    """What is compiled, the quickest and most telling first."""
    small = [Case("MiniLM", "rte", "bfloat16", n, slice) for n, slice in ((8, "v5e:1x1"), (1, "v5e:2x2"))]
    small += [Case("MiniLM", "rte", "bfloat16", 32, "v5e:2x2"), Case("MiniLM", "rte", "bfloat16", 1, "v5e:1x1")]
    small += [Case("MiniLM", "rte", "bfloat16", 32, slice) for slice in ("v5e:1x1", "v5e:4x8", "v5p:2x2x4", "v6e:4x4")]
    small += [Case("MiniLM", "rte", "float32", 8, "v5e:1x1")]
    small += [small[3]._replace(remat=True), small[3]._replace(scan=True)]
    base = [Case("BERT-base", "rte", "bfloat16", n, "v5e:1x1") for n in (1, 2, 4)]
    base += [Case("BERT-base", "rte", "bfloat16", 16, "v5p:2x2x4")]
    tagger = [Case("BERT-base-chinese", "ccks", "bfloat16", 1, "v5e:1x1", rows=16, length=512)]
    large = [
        Case("BERT-large", config, dtype, 4, "v5e:2x2")
        for dtype in ("bfloat16", "float32")
        for config in ("rte", "rte_reinit4", "rte_mixout", "rte_llrd", "rte_bertadam")
    ]
    large += [Case("BERT-large", "rte", "bfloat16", 1, slice) for slice in ("v5e:4x4", "v5p:2x2x1", "v6e:2x2")]
    large += [Case("BERT-large", "rte", "bfloat16", n, "v5p:1x1x1") for n in (4, 8)]
    large += [large[0]._replace(scan=True), large[0]._replace(scan=True, remat=True)]
    large += [
        Case("BERT-large", "rte", "float32", 4, "v5e:2x2", rows=64, length=512, remat=remat) for remat in (False, True)
    ]
    groups = [small[:2], small[2:], base, tagger, large]
    return [case._replace(program=program) for group in groups for case in group for program in PROGRAMS]


def checks(case: Case, spread: int, text: str, needed: int, donated: int, gradients: tuple[int, int]) -> dict[str, str]:
    """What is wrong with a compiled program; "" where nothing is.

    Args:
        spread: over how many chips one member's batch is spread.
        text: of the compiled program.
        needed: bytes on a chip.
        donated: how many arrays were.
        gradients: the bytes that have to be reduced, and those that may be.
    """
    found = hlo.collectives(text)
    said = ", ".join(f"{row['count']} {kind}" for kind, row in found.items())
    wrong = {"alone" if spread == 1 else "gradients": ""}
    if spread == 1 and found:
        wrong["alone"] = f"members are not spread, and there is {said}"
    if spread > 1 and case.program == "train":
        if set(found) != {"all-reduce"}:
            wrong["gradients"] = f"all-reduce alone is wanted, and there is {said or 'nothing'}"
        elif not gradients[0] <= found["all-reduce"]["bytes"] <= gradients[1]:
            said = f"between {gradients[0]} and {gradients[1]} are wanted"
            wrong["gradients"] = f"{found['all-reduce']['bytes']} bytes are reduced, {said}"
    wrong["fits"] = "" if needed <= case.chip.memory else f"{needed} bytes are needed, there are {case.chip.memory}"
    if case.dtype == "bfloat16":
        wide = {p.op_name for p in hlo.products(text) if _of_block(p) and "f32" in p.inputs}
        wrong["bfloat16"] = f"{len(wide)} products have float32 inputs: {min(wide)}" if wide else ""
    trips = hlo.host_trips(text)
    wrong["host"] = f"{len(trips)} trips to the host: {trips[0]}" if trips else ""
    kept = hlo.aliased(text)
    wrong["donated"] = "" if kept == donated else f"{kept} of {donated} donated arrays are used again"
    return wrong


def _of_block(product: hlo.Product) -> bool:
    of_block = any(part in product.op_name for part in ("/layer_", "/encoder.through/"))  # the second of a loop's
    return of_block or not product.op_name


def _gradients(params: Any, members: int, pooled: int) -> tuple[int, int]:
    """Bytes of the gradients of members' encoders without poolers, and of all with so many bytes of vectors twice."""
    encoder = {name: tree for name, tree in params["encoder"].items() if name != "pooler"}
    return members * tree_bytes(encoder), members * (tree_bytes(params) + 2 * pooled)


def compiled(case: Case, chips: list[Any] | None = None) -> dict[str, Any]:
    """Compiles a case, and what there is to say of it.

    Args:
        chips: in place of those of the case's slice.
    """
    clock = time.monotonic()
    job, cohort, program = lowered(case, chips)
    lower_s, clock = time.monotonic() - clock, time.monotonic()
    mesh = dict(cohort.mesh.shape)
    row: dict[str, Any] = {**case._asdict(), "mesh": mesh, "lower_s": round(lower_s, 1)}
    try:
        done = program.compile()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        row |= {"compile_s": round(time.monotonic() - clock, 1), "checks": {"fits": no_room(str(error))}}
        return row
    row["compile_s"] = round(time.monotonic() - clock, 1)
    text, memory, cost = done.as_text() or "", done.memory_analysis(), done.cost_analysis() or {}
    assert memory is not None
    bytes_ = {
        "arguments": memory.argument_size_in_bytes,
        "outputs": memory.output_size_in_bytes,
        "aliased": memory.alias_size_in_bytes,
        "temporaries": memory.temp_size_in_bytes,
        "code": memory.generated_code_size_in_bytes,
    }
    needed = sum(bytes_.values()) - 2 * bytes_["aliased"]
    donated = sum(x.donated for x in jax.tree.leaves(program.args_info, is_leaf=lambda x: hasattr(x, "donated")))
    on_chip = cohort.places // mesh["member"]
    gradients = _gradients(job.network.shapes, on_chip, 4 * case.rows * job.encoder.hidden_size)
    row |= {
        "bytes": bytes_,
        "needed": needed,
        "memory": case.chip.memory,
        "flop": None if case.scan else cost.get("flops"),
    }
    row["collectives"], row["sorts"] = hlo.collectives(text), hlo.sorts(text)
    row["products"] = dict(Counter(" x ".join(p.inputs) for p in hlo.products(text) if _of_block(p)))
    row["checks"] = checks(case, mesh["data"], text, needed, donated, gradients)
    if case.program == "train" and mesh["data"] == 1:
        # The best parameters of each member lie beside what the program needs.
        row["member_bytes"] = {
            "compiler": needed // on_chip + tree_bytes(job.network.shapes),
            "default_size": reckoned(case),
        }
    return row


def no_room(error: str) -> str:
    """What the compiler says of too little memory, in a line.

    >>> no_room("RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Used 20.10G of 15.75G hbm. Exceeded by 4G.")
    'Used 20.10G of 15.75G hbm'
    """
    found = re.search(r"Used \S+ of \S+ hbm", error)
    return found[0] if found else error.splitlines()[0][:200]


def attempt(case: Case, limit_s: float, floor: int) -> dict[str, Any]:
    """A case in a process of its own: its row, or why there is none.

    Args:
        limit_s: of its time.
        floor: it ends when the machine's free memory is less.
    """
    command = [sys.executable, "-m", "benchmarks.tpu_compile", "--worker", json.dumps(case)]
    clock, why = time.monotonic(), ""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=os.environ | ENVIRONMENT, stdout=pipe, stderr=pipe, text=True) as process:
        while not why:
            try:
                out, err = process.communicate(timeout=1)
                break
            except subprocess.TimeoutExpired:
                if time.monotonic() - clock > limit_s:
                    why = f"not compiled in {limit_s:.0f} s"
                elif host.memory()[0] < floor:
                    why = f"not compiled: the machine had less than {floor / 1e9:.1f} GB left"
        else:
            process.kill()
            return {**case._asdict(), "not_compiled": why}
    if process.returncode:
        return {**case._asdict(), "not_compiled": (err.strip().splitlines() or ["ended without a word"])[-1][:300]}
    return json.loads(out.splitlines()[-1])


def work(case: Case) -> None:
    """A worker: one row on standard output."""
    row = compiled(case)
    used = resource.getrusage(resource.RUSAGE_SELF)
    row |= {"cpu_s": round(used.ru_utime + used.ru_stime, 1), "host_gb": round(used.ru_maxrss / 1e6, 2)}
    print(json.dumps(row), flush=True)


def show(name: str, row: Mapping[str, Any]) -> None:
    """Prints a line, and one for each check that fails."""
    if "not_compiled" in row:
        print(f"{name}: {row['not_compiled']}", flush=True)
        return
    needed = f"{row['needed'] / 1e9:.2f} of {row['memory'] / 1e9:.1f} GB" if "needed" in row else "no room"
    print(f"{name}: {row['compile_s']} s, {needed}, collectives {row.get('collectives') or 'none'}", flush=True)
    for check, wrong in row["checks"].items():
        if wrong:
            print(f"    {check}: {wrong}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    parser.add_argument("--again", action="store_true", help="those too that could not be compiled before")
    parser.add_argument("--limit", type=float, default=3600, help="seconds for one program")
    parser.add_argument("--floor", type=float, default=1.0, help="GB of the machine's memory that are left free")
    parser.add_argument("--list", action="store_true", help="only the names of the cases")
    parser.add_argument("--out", type=Path, default=RESULTS, help="JSON file to write, and to go on from")
    options = parser.parse_args(arguments)
    if options.worker:
        work(Case(*json.loads(options.worker)))
        return 0
    wanted = [case for case in cases() if options.only in case.name]
    if options.list:
        print("\n".join(case.name for case in wanted))
        return 0
    rows = json.loads(options.out.read_text())["rows"] if options.out.exists() else {}
    for case in wanted:
        if case.name in rows and not (options.again and "not_compiled" in rows[case.name]):
            continue
        rows[case.name] = attempt(case, options.limit, int(1e9 * options.floor))
        versions = {name: version(name) for name in ("jax", "jaxlib", "libtpu", "stablefit")}
        write_whole(options.out, json.dumps({"versions": versions, "rows": rows}, indent=1) + "\n")
        show(case.name, rows[case.name])
    failed = [name for name, row in rows.items() if any(row.get("checks", {}).values())]
    print(f"{len(rows)} programs, {len(failed)} with a check that fails", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
