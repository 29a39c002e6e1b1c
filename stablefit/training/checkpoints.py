"""Parameters and resumable state on disk; the only file that knows orbax.

Orbax writes into a temporary directory and renames it, so a kill leaves the previous save as it was.
"""

import logging
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from stablefit.errors import InputError
from stablefit.paths import Tree
from stablefit.training import processes

# Orbax logs every save at INFO through absl; the program has its own progress display.
logging.getLogger("absl").setLevel(logging.WARNING)


def _alone() -> ocp.options.MultiprocessingOptions:
    """Orbax waits for every process at each save, unless it is told that one does it."""
    own = jax.process_index()
    return ocp.options.MultiprocessingOptions(
        primary_host=own, active_processes={own}, barrier_sync_key_prefix=str(own)
    )


def _manager(directory: Path) -> ocp.CheckpointManager:
    directory.mkdir(parents=True, exist_ok=True)
    options = ocp.CheckpointManagerOptions(
        max_to_keep=2, enable_async_checkpointing=False, create=False, multiprocessing_options=_alone()
    )
    return ocp.CheckpointManager(directory.absolute(), options=options)


def save_state(directory: Path, step: int, state: Tree, record: dict[str, Any]) -> None:
    """Saves what a run needs to go on: its arrays, and a JSON record of what the host knows.

    The save before this one is kept until this one is complete. A step that is saved already stays as it was: what has
    come since its update is done again after a restore. Of several processes the first does it.
    """
    if not processes.is_first():
        return
    with _manager(directory) as manager:
        if step in manager.all_steps():
            return
        items = ocp.args.Composite(state=ocp.args.StandardSave(state), record=ocp.args.JsonSave(record))
        manager.save(step, args=items, force=True)


def saved_steps(directory: Path) -> list[int]:
    """The steps of which a complete state is saved, in order; empty if there is none."""
    steps = []
    if directory.is_dir():
        with _manager(directory) as manager:
            steps = sorted(manager.all_steps())
    return processes.from_first(steps)


def restore_state(directory: Path, step: int, like: Tree) -> tuple[Tree, dict[str, Any]]:
    """Reads what `save_state` wrote, with the structure, shapes and dtypes of `like`.

    Raises:
        InputError: the saved state cannot be read, or is of another run.
    """
    state, record, damage = like, {}, ""
    if processes.is_first():
        with _manager(directory) as manager:
            target = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
            items = ocp.args.Composite(state=ocp.args.StandardRestore(target), record=ocp.args.JsonRestore())
            try:
                saved = manager.restore(step, args=items)
                state, record = saved["state"], saved["record"]
            except Exception as error:  # orbax raises ten different types for damage
                damage = f"{directory / str(step)} cannot be read ({type(error).__name__})"
    damage, record = processes.from_first([damage, record])
    if damage:
        raise InputError(f"{damage}; delete it to start from an earlier step, or anew")
    return processes.arrays_from_first(state), record


def save_params(directory: Path, params: Tree) -> None:
    """Saves a parameter tree, in place of what was there. Of several processes the first does it."""
    if not processes.is_first():
        return
    with ocp.StandardCheckpointer(multiprocessing_options=_alone()) as checkpointer:
        checkpointer.save(directory.absolute(), params, force=True)


def load_params(directory: Path) -> Tree:
    """Reads what `save_params` wrote, as NumPy arrays.

    Raises:
        InputError: there is nothing, or it cannot be read.
    """
    if not directory.is_dir():
        raise InputError(f"{directory} is not there; give the folder of a finished seed that kept its parameters")
    try:
        with ocp.Checkpointer(ocp.PyTreeCheckpointHandler(), multiprocessing_options=_alone()) as checkpointer:
            tree = checkpointer.metadata(directory.absolute()).item_metadata.tree
            as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree)
            return checkpointer.restore(directory.absolute(), restore_args=as_numpy)
    except Exception as error:  # as above
        raise InputError(f"{directory} cannot be read as saved parameters ({type(error).__name__})") from error
