"""What every test shares: JAX's settings and the folder of real data."""

import os
from pathlib import Path

import jax
import pytest

# A rank that is promoted silently hides a missing axis.
jax.config.update("jax_numpy_rank_promotion", "raise")
# Compiling is most of what the tests do. The programs are small, so they need no optimising, and workers share them.
jax.config.update("jax_disable_most_optimizations", True)
jax.config.update("jax_compilation_cache_dir", str(Path(__file__).parent.parent / ".cache" / "tests"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)

collect_ignore_glob = ["golden/*.py"]  # they make the golden files, with PyTorch, which the tests do without


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
