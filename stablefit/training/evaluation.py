"""A split on the device, and what the members of a cohort say of it."""

from collections.abc import Collection

import jax
import numpy as np

from stablefit.data import packing
from stablefit.data.encoding import Encoded
from stablefit.objectives.objective import Scores
from stablefit.paths import Tree
from stablefit.training import processes
from stablefit.training.cohort import Cohort
from stablefit.training.job import Job
from stablefit.training.steps import Table


class Evaluation:
    """One split, with its batches.

    Args:
        job: what the members share.
        cohort: their programs.
        split: `validation` or `test`.
    """

    def __init__(self, job: Job, cohort: Cohort, split: str):
        self.data = job.data[split]
        self._job, self._cohort = job, cohort
        self._table = table(job, cohort, self.data)
        batches, self._order = packing.evaluation_layout(
            self.data.lengths, self.data.tokens.shape[1], job.spec.eval_batch_size, cohort.mesh.shape["data"]
        )
        self._batches = cohort.put_batches(batches, by_member=False)

    def outputs(self, params: Tree, lost: Collection[int] = ()) -> list[tuple[Tree, np.ndarray]]:
        """Each member's parameters beside the encoder's, and its outputs, one row an example.

        Args:
            params: of all members.
            lost: positions of members that have none: all of theirs is NaN.
        """
        outputs = np.asarray(processes.read(self._cohort.predict(params, self._table, self._batches)))
        outputs = outputs[: self._cohort.members]
        outputs = outputs.reshape(len(outputs), -1, *outputs.shape[3:])[:, self._order]
        heads = {name: tree for name, tree in params.items() if name != "encoder"}
        found = [(of_member(heads, i), one) for i, one in enumerate(outputs)]
        return [_nothing_of(one) if i in lost else one for i, one in enumerate(found)]

    def score(self, params: Tree, lost: Collection[int] = ()) -> tuple[list[Scores], list[np.ndarray]]:
        """The scores of each member, and its predictions as they are kept; arguments as of `outputs`."""
        answers = [self._job.objective.score(heads, one, self.data) for heads, one in self.outputs(params, lost)]
        scores, predictions = zip(*answers, strict=True)
        return list(scores), list(predictions)


def _nothing_of(tree: Tree) -> Tree:
    return jax.tree.map(lambda x: np.full_like(np.asarray(x), np.nan), tree)


def table(job: Job, cohort: Cohort, data: Encoded) -> Table:
    """A split on the device, with rows that no batch refers to so that all folds have the same shapes."""
    more = max(0, job.n_rows - len(data))
    arrays = (data.tokens, data.types, job.objective.targets(data), *data.further)
    tokens, types, labels, *further = (np.pad(x, [(0, more), *[(0, 0)] * (x.ndim - 1)]) for x in arrays)
    return cohort.put(Table(tokens, types, labels, tuple(further)))


def of_member(tree: Tree, i: int) -> Tree:
    """The leaves of member i, for the host; in every process."""
    return processes.read(jax.tree.map(lambda x: x[i], tree))
