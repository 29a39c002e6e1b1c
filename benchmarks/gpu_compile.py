"""XLA's compiler for NVIDIA GPUs on the programs that runs use, without a GPU: what a member takes of a card.

    pip install -c constraints.txt -e '.[train]' 'jax[cuda13]'            # in an environment of its own
    python -m benchmarks.gpu_compile --out=benchmarks/results/gpu_compile.json

A program is compiled for a card that is described, and not tuned, for which the card is needed. Its row has what
tpu_compile.py says of a program, so far as a card has it: the bytes that it needs, beside what `default_size` reckons
with, how long it compiled, and how many elements each sort of a step has. Rows that are there are kept.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

os.environ["JAX_PLATFORMS"] = "cpu"  # JAX reads both when it is imported
# As runs have it, sums have one order; a Triton product then has to be tuned, for which the card is needed.
os.environ["XLA_FLAGS"] = (
    f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_exclude_nondeterministic_ops=true --xla_gpu_autotune_level=0 "
    "--xla_gpu_enable_triton_gemm=false"
)

import jax
from jax.experimental import topologies

from benchmarks.step_time import version
from benchmarks.tpu_compile import compiled
from benchmarks.tpu_programs import Case

# What a driver says of an NVIDIA H200, as XLA's description of a device has it.
H200 = """
gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 32 shared_memory_per_block: 49152 shared_memory_per_core: 233472
  threads_per_core_limit: 2048 core_count: 132 fpus_per_core: 128 block_dim_limit_x: 2147483647 block_dim_limit_y: 65535
  block_dim_limit_z: 65535 memory_bandwidth: 4800000000000 l2_cache_size: 62914560 clock_rate_ghz: 1.98
  device_memory_size: 141000000000 shared_memory_per_block_optin: 232448 cuda_compute_capability { major: 9 }
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
}
platform_name: "CUDA" dnn_version_info { major: 9 minor: 20 } runtime_version { major: 13 }
device_description_str: "NVIDIA H200"
"""
KEPT = ("lower_s", "compile_s", "bytes", "needed", "memory", "member_bytes", "sorts")


def cases() -> list[Case]:
    """What is compiled."""
    mini = [Case("MiniLM", "rte", dtype, n, "h200:1") for dtype in ("float32", "bfloat16") for n in (1, 8)]
    return [*mini, Case("BERT-base", "rte", "float32", 1, "h200:1"), Case("BERT-base", "rte", "bfloat16", 1, "h200:1")]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", default="", help="cases with this in their names")
    options = parser.parse_args()
    card = topologies.get_topology_desc(platform="cuda", topology_name="", target_config=H200, topology="1x1x1")
    jax.config.update("jax_enable_compilation_cache", False)
    names = ("jax", "jaxlib", "jax-cuda13-plugin", "stablefit")
    found: dict[str, Any] = {"versions": {name: version(name) for name in names}, "rows": {}}
    if options.out.is_file() and (before := json.loads(options.out.read_text()))["versions"] == found["versions"]:
        found = before
    for case in cases():
        if options.only in case.name and case.name not in found["rows"]:
            row = compiled(case, list(card.devices))
            found["rows"][case.name] = case._asdict() | {name: row[name] for name in KEPT}
            options.out.write_text(json.dumps(found, indent=1) + "\n")
            print(f"{case.name}: compiled in {row['compile_s']} s; a member {row['member_bytes']}", flush=True)


if __name__ == "__main__":
    main()
