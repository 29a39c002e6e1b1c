"""Two processes that do one run together, as the hosts of a slice do; one of them is killed."""

import functools
import os
import signal
import socket
from collections.abc import Sequence
from pathlib import Path

from tests.faults import children, trials
from tests.faults.children import Hook
from tests.faults.runs import Command
from tests.faults.trials import Step, Trial

PROMISED = 120.0  # seconds in which the other ends: docs/clusters.md


def killed(command: Command, workdir: Path, expected: dict[str, str], which: int, n: int) -> Trial:
    """One is killed when the first is about to change its n-th file; the other ends; the same command goes on.

    Args:
        which: 0, who writes and coordinates, or 1.
    """
    what = f"{command.name} by two processes, number {which} killed at change {n}"
    second = workdir.with_suffix(".second")

    def kill(path: str) -> None:
        if which == 0:
            children.kill(path)
        os.kill(int(second.read_text()), signal.SIGKILL)

    hook = children.at_change(workdir, n, children.once(kill))
    both = yield _steps(command, workdir, second, hook)
    if both[which].code not in (0, children.KILLED):  # 0: it had ended
        return f"{what}: it ended with {both[which].code}: {both[which].err[-300:]}"
    other = both[1 - which]
    if other.at - both[which].at > PROMISED or other.code == -1:
        return f"{what}: the other took {other.at - both[which].at:.0f} s to end"
    if "Traceback" in other.err:
        return f"{what}: the other: code {other.code}: {other.err[-600:]}"
    if other.code == 0 and both[which].code != 0 and not (workdir / "results.jsonl").is_file():
        return f"{what}: the other says that all is done"
    again = yield _steps(command, workdir, second, None)
    if any(one.code for one in again):
        return f"{what}, then again: codes {[one.code for one in again]}: {again[0].err[-300:]} {again[1].err[-300:]}"
    return (yield from trials.compared(workdir, expected, f"{what}, then again"))


def reference(command: Command, workdir: Path, found: dict[str, tuple[int, dict[str, str]]]) -> Trial:
    """Both, undisturbed; the changes of files of the first are counted."""
    count = workdir.with_suffix(".count")
    workdir.parent.mkdir(parents=True, exist_ok=True)
    both = yield _steps(command, workdir, workdir.with_suffix(".second"), children.counting(workdir, count))
    if any(one.code for one in both):
        return f"{command.name} by two processes: codes {[one.code for one in both]}: {both[0].err[-300:]}"
    return (yield from trials.counted(command, workdir, count, found))


def _steps(command: Command, workdir: Path, second: Path, hook: Hook | None) -> list[Step]:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    argv = [*command.at(workdir), "--distributed"]
    mains = [functools.partial(_as_host, command, port, i, second) for i in (0, 1)]
    return [Step(mains[0], argv, hook), Step(mains[1], argv)]


def _as_host(command: Command, port: int, number: int, second: Path, argv: Sequence[str]) -> int:
    os.environ |= {
        "JAX_COORDINATOR_ADDRESS": f"localhost:{port}",
        "JAX_NUM_PROCESSES": "2",
        "JAX_PROCESS_ID": str(number),
    }
    if number:
        second.write_text(str(os.getpid()))
    return command.main(argv)
