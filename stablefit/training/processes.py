"""Several processes that run one program together, as the hosts of a TPU slice do.

Every process calls each function at the same point. In a process that is alone they give back what they got.
"""

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from stablefit.errors import HostLost, InputError
from stablefit.paths import Tree


@contextlib.contextmanager
def joined(workdir: Path, distributed: bool) -> Iterator[Path]:
    """Connects the processes, and gives each the folder that it may write to.

    Only the first shows and keeps anything. The others do the same in a temporary folder: what they need to know of the
    workdir they are told, so it need not be on a file system that they share.

    Args:
        workdir: of the first process.
        distributed: as the user said.

    Raises:
        InputError: it cannot be found out which processes belong together.
        HostLost: another of them ended; this one cannot go on without it.
    """
    if not distributed:
        yield workdir
        return
    try:
        jax.distributed.initialize(num_processes=_number("JAX_NUM_PROCESSES"), process_id=_number("JAX_PROCESS_ID"))
    except (ValueError, RuntimeError) as error:
        raise InputError(
            f"--distributed: {str(error).rstrip('.')}; on a TPU slice all is found, elsewhere set "
            "JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID"
        ) from None
    with contextlib.ExitStack() as stack:
        if not is_first():
            workdir = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "run"
            stack.enter_context(contextlib.redirect_stdout(stack.enter_context(open(os.devnull, "w"))))
        try:
            yield workdir
        except (jax.errors.JaxRuntimeError, ValueError) as error:  # JAX raises the one or the other
            if isinstance(error, InputError) or not re.match(_OF_ANOTHER, str(error)):
                raise
            said = str(error).strip().splitlines()[0][:150]
            raise HostLost(f"another process has ended ({said}); the same command goes on from the last save") from None
    # A process that fails leaves at once, and with that ends the others. Together they leave when all are done.
    jax.distributed.shutdown()


# What the libraries below JAX say of a process that is gone, on a CPU, a GPU and a TPU.
_OF_ANOTHER = r"[A-Z_]+: .*(?i:gloo|nccl|\bpeer\b|connection|coordination|heartbeat)|UNAVAILABLE:|DEADLINE_EXCEEDED:"


def _number(name: str) -> int | None:
    return int(os.environ[name]) if name in os.environ else None


def is_first() -> bool:
    """Whether this process is the one that writes and shows."""
    return jax.process_index() == 0


def largest(number: int) -> int:
    """The largest of the processes' numbers: of their clocks, or whether one of them got a signal."""
    if jax.process_count() == 1:
        return number
    return int(multihost_utils.process_allgather(np.int32(number)).max())


def from_first(value: Any) -> Any:
    """The first process's value, which JSON can write."""
    if jax.process_count() == 1:
        return value
    text = np.frombuffer(json.dumps(value).encode(), np.uint8)
    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(text))))
    return json.loads(multihost_utils.broadcast_one_to_all(np.resize(text, size)).tobytes())


def arrays_from_first(tree: Tree) -> Tree:
    """The first process's arrays; the others give any of the same shapes and dtypes."""
    if jax.process_count() == 1:
        return tree
    return multihost_utils.broadcast_one_to_all(tree)


def read(tree: Tree) -> Tree:
    """Arrays that are spread over the processes as NumPy arrays in each."""
    if jax.process_count() == 1:
        return tree
    return multihost_utils.process_allgather(tree, tiled=True)
