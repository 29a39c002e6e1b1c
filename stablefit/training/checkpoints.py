"""Parameters and resumable state on disk; the only file that knows orbax.

Orbax writes into a temporary directory and renames it, so a kill leaves the previous save as it was. Then comes the
manifest, by which every byte is checked before it is used.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from stablefit.errors import InputError
from stablefit.paths import Tree
from stablefit.training import manifest, processes

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


def save_state(directory: Path, step: int, state: Tree, record: dict[str, Any], **of: Any) -> None:
    """Saves what a run needs to go on: its arrays, and a JSON record of what the host knows.

    The save before this one is kept until this one is complete. A step that is saved already, and whole, stays as it
    was: what has come since its update is done again after a restore. Saves of later steps were passed over, and go.
    Of several processes the first does it.

    Args:
        directory: of all saves of one run.
        step: updates done.
        state, record: what is saved.
        of: what the manifest says of it: `seed`, `fingerprint`.
    """
    if not processes.is_first():
        return
    with _manager(directory) as manager:
        for other in manager.all_steps():
            if other > step or (other == step and _damage(directory, step, of)):
                manager.delete(other)
        if step in manager.all_steps():
            return
        items = ocp.args.Composite(state=ocp.args.StandardSave(state), record=ocp.args.JsonSave(record))
        manager.save(step, args=items, force=True)
    manifest.write(directory / str(step), step=step, **of)


def _damage(directory: Path, step: int, of: Mapping[str, Any]) -> str:
    """Why the save of a step must not be used. One without a manifest beside one that has one is not complete."""
    folder = directory / str(step)
    if not manifest.place(folder).is_file() and any(directory.glob(f"*/{manifest.NAME}")):
        return "it has no manifest, as a kill leaves it"
    return manifest.damage(folder, step=step, **of)


def saved_steps(directory: Path) -> list[int]:
    """The steps of which a complete state is saved, in order; empty if there is none."""
    steps = []
    if directory.is_dir():
        with _manager(directory) as manager:
            steps = sorted(manager.all_steps())
    return processes.from_first(steps)


def restore_state(directory: Path, step: int, like: Tree, **of: Any) -> tuple[Tree, dict[str, Any]]:
    """Reads what `save_state` wrote, with the structure, shapes and dtypes of `like`.

    Args:
        directory, step: as they were given to `save_state`.
        like: the tree that is wanted.
        of: what the manifest must say of it.

    Raises:
        InputError: the saved state is damaged, cannot be read, or is of another run, seed or step.
    """
    state, record, damage = like, {}, ""
    if processes.is_first() and (why := _damage(directory, step, of)):
        damage = f"{directory / str(step)} cannot be read ({why})"
    elif processes.is_first():
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


def save_params(directory: Path, params: Tree, **of: Any) -> None:
    """Saves a parameter tree, in place of what was there. Of several processes the first does it.

    Args:
        directory: of these parameters alone.
        params: NumPy or JAX arrays.
        of: what the manifest says of them: `step`, `seed`, `fingerprint`.
    """
    if not processes.is_first():
        return
    with ocp.StandardCheckpointer(multiprocessing_options=_alone()) as checkpointer:
        checkpointer.save(directory.absolute(), params, force=True)
    manifest.write(directory, part=directory.name, **of)


def load_params(directory: Path) -> Tree:
    """Reads what `save_params` wrote, as NumPy arrays.

    Raises:
        InputError: there is nothing, it cannot be read, or its manifest does not fit it.
    """
    if not directory.is_dir():
        raise InputError(f"{directory} is not there; give the folder of a finished seed that kept its parameters")
    manifest.check(directory, "put back a copy of it, or run the seed again in another folder")
    try:
        with ocp.Checkpointer(ocp.PyTreeCheckpointHandler(), multiprocessing_options=_alone()) as checkpointer:
            tree = checkpointer.metadata(directory.absolute()).item_metadata.tree
            as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree)
            return checkpointer.restore(directory.absolute(), restore_args=as_numpy)
    except Exception as error:  # as above
        raise InputError(f"{directory} cannot be read as saved parameters ({type(error).__name__})") from error
