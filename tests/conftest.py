"""What every test shares: JAX's settings and the folder of real data."""

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import pytest

from stablefit.training.signals import Signals

# Compiling is most of what the tests do: without MLIR, which writes code for fusions, it takes less time.
# JAX reads this when it first asks for a device; so do commands that tests start. `make demo` and others go without.
if jax.__version_info__ < (0, 11):  # later ones end at a flag that they do not know
    FLAGS = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {FLAGS}".strip()
gc.set_threshold(100_000)  # a collection looks through all that was imported and compiled
# A rank that is promoted silently hides a missing axis.
jax.config.update("jax_numpy_rank_promotion", "raise")
# The programs are small, so they need no optimising, and workers share them.
jax.config.update("jax_disable_most_optimizations", True)
jax.config.update("jax_compilation_cache_dir", str(Path(__file__).parent.parent / ".cache" / "tests"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)

collect_ignore_glob = ["golden/*.py"]  # they make the golden files, with PyTorch, which the tests do without


@pytest.fixture(scope="session", autouse=True)
def _signals_from_outside() -> Iterator[None]:
    """One that no test has raised ends the tests, as it ends any program: a run would note it, and its test fail."""
    raise_signal, note, own = signal.raise_signal, Signals._note, []

    def raised(signum: int) -> None:
        own.append(signum)
        raise_signal(signum)

    def noted(self: Signals, signum: int, frame: Any) -> None:
        if not own:
            pytest.exit(f"signal {signum} came from outside", returncode=128 + signum)
        own.pop()
        note(self, signum, frame)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signal, "raise_signal", raised)
        patch.setattr(Signals, "_note", noted)
        yield


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables are as wide as they want to be: pytest-xdist tells its workers how many columns its own terminal has."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real data sets, named by STABLEFIT_DATA; the test is skipped where it is absent."""
    root = Path(os.environ.get("STABLEFIT_DATA", "../shared/data"))
    if not root.is_dir():
        pytest.skip(f"no real data: STABLEFIT_DATA={root} is not a folder")
    return root


@pytest.fixture(scope="session")
def tiny_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny model and the tiny task; read only."""
    from tests import tiny

    root = tmp_path_factory.mktemp("tiny")
    tiny.write_model(root / "model")
    return tiny.write_rte(root)


@pytest.fixture(scope="session")
def one_block_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with an encoder of one block, for tests that take whole runs: most of such a test is compiling it."""
    from tests import tiny

    root = tmp_path_factory.mktemp("one_block")
    tiny.write_model(root / "model", blocks=1)
    return tiny.write_rte(root)
