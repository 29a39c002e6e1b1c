"""What every test shares: JAX's settings and the folder of real data."""

import os
from pathlib import Path

import jax
import pytest

# A rank that is promoted silently hides a missing axis.
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real data sets, named by STABLEFIT_DATA; the test is skipped where it is absent."""
    root = Path(os.environ.get("STABLEFIT_DATA", "../shared/data"))
    if not root.is_dir():
        pytest.skip(f"no real data: STABLEFIT_DATA={root} is not a folder")
    return root
