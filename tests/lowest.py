"""The lowest versions that pyproject.toml says are enough, as pip's constraints: `NAME>=X` becomes `NAME==X`.

python -m tests.lowest > constraints.txt        # make test-oldest
"""

import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def constraints(project: str) -> list[str]:
    """A line for each requirement that has a lower bound.

    >>> constraints('[project]\\ndependencies = ["jax>=0.10"]\\n[project.optional-dependencies]\\ndev = ["ruff==1"]')
    ['jax==0.10']
    """
    project = tomllib.loads(project)["project"]
    asked = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    bounds = (re.fullmatch(r"([\w.-]+)>=([\d.]+)", one) for one in asked)
    return sorted(f"{bound[1]}=={bound[2]}" for bound in bounds if bound)


if __name__ == "__main__":
    print("\n".join(constraints(PROJECT.read_text())))
