"""What the process sets before JAX starts: how memory is returned, where compiled programs are kept."""

import contextlib
import ctypes
import importlib.util
import os
import sys
from pathlib import Path

CACHE_BYTES = 2 << 30
_MEMORY = Path("/proc/meminfo")  # Linux says there how much there is and is left

_ONE_ORDER = "--xla_gpu_exclude_nondeterministic_ops=true"

# glibc's variable, what mallopt calls the same (malloc.h), the value.
_KEEP_FREED_MEMORY = (
    ("MALLOC_ARENA_MAX", -8, 1),
    ("MALLOC_MMAP_MAX_", -4, 0),
    ("MALLOC_TRIM_THRESHOLD_", -1, 2**31 - 1),
    ("MALLOC_TOP_PAD_", -2, 1 << 28),
)


def prepare() -> str:
    """Keeps freed memory in the process, and compiled programs in the user's cache directory.

    A step on a CPU allocates its temporaries anew each time; glibc gives them back to the kernel, which hands them out
    again page by page. Keeping them saves these page faults and changes no number.
    `STABLEFIT_CACHE` names another cache directory; empty turns the cache off.
    On a GPU the gradient of a table is a sum in any order, so that the same run has other bits each time; XLA is told
    to use only operations that have one. `XLA_FLAGS` that says otherwise is left as it is.

    Returns:
        what was set, in words.
    """
    memory = "goes back to the system"
    if sys.platform == "linux" and os.confstr("CS_GNU_LIBC_VERSION"):
        libc = ctypes.CDLL(None)
        taken = [libc.mallopt(option, value) for _, option, value in _KEEP_FREED_MEMORY]
        if all(taken):
            memory = "stays in the process"
    order = _keep_one_order()
    default = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "stablefit" / "programs"
    cache = os.environ.get("STABLEFIT_CACHE", str(default))
    import jax

    if cache:
        _remove_half_written(Path(cache))
        jax.config.update("jax_compilation_cache_dir", cache)
        jax.config.update("jax_compilation_cache_max_size", CACHE_BYTES)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)
    return f"freed memory {memory}; compiled programs are {f'kept in {cache}' if cache else 'not kept'}{order}"


def _keep_one_order() -> str:
    """Sets XLA's flag where JAX has a plug-in for GPUs, before it reads its flags; what was set, in words."""
    plugins = importlib.util.find_spec("jax_plugins")
    folders = (plugins and plugins.submodule_search_locations) or ()
    names = [name for folder in folders for name in os.listdir(folder)]
    if not any(name.startswith(("xla_cuda", "xla_rocm")) for name in names):
        return ""
    flags = os.environ.get("XLA_FLAGS", "")
    if "deterministic_ops" in flags:
        return "; XLA_FLAGS says in which order a GPU adds"
    os.environ["XLA_FLAGS"] = f"{flags} {_ONE_ORDER}".strip()
    return "; a GPU adds in one order"


def _remove_half_written(cache: Path) -> None:
    """Removes what a kill left of a program: JAX finds no time of its last use, and then keeps no other either.

    JAX writes NAME-cache, and after that NAME-atime. Where another process is just between the two it has lost a file
    of a cache.
    """
    with contextlib.suppress(OSError):
        stems = [{file.name.removesuffix(end) for file in cache.glob(f"*{end}")} for end in ("-cache", "-atime")]
        for stem in stems[0] ^ stems[1]:
            for end in ("-cache", "-atime"):
                (cache / f"{stem}{end}").unlink(missing_ok=True)


def return_memory() -> None:
    """Gives freed memory back to the system, for once: what comes next needs pieces of other sizes.

    Kept, the pieces of one program's arrays do not hold those of the next, and a study of many cells grows until the
    machine is full.
    """
    if sys.platform == "linux" and os.confstr("CS_GNU_LIBC_VERSION"):
        ctypes.CDLL(None).malloc_trim(0)


def return_memory_if_short() -> None:
    """The same where the machine has less than a quarter of its memory left.

    Batches of other numbers of rows need pieces of other sizes too, and on long texts those of all of them, kept, are
    many times what one step needs. Given back, they are handed out page by page when they are used again.
    """
    left, whole = memory()
    if left < whole / 4:
        return_memory()


def memory() -> tuple[int, int]:
    """Bytes of the machine's memory that are left, and that there are; zeros where the system does not say."""
    try:
        known = dict(line.split(":", 1) for line in _MEMORY.read_text().splitlines())
        left, whole = (int(known[name].split()[0]) << 10 for name in ("MemAvailable", "MemTotal"))
    except (OSError, ValueError, KeyError, IndexError):
        return 0, 0
    return left, whole


def prepare_unless_set() -> None:
    """`prepare`, but not where somebody has said already where compiled programs are kept: for use from Python."""
    import jax

    if not getattr(jax.config, "jax_compilation_cache_dir", None):
        prepare()


def cores() -> int:
    """How many cores this process may use: a program on a CPU is divided by them, and rounds as it is divided."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def environment() -> dict[str, str]:
    """Variables with which a process that is not started yet keeps freed memory from its beginning.

    `prepare` is too late for a process that has threads: they have memory of their own by then.
    """
    return {name: str(value) for name, _, value in _KEEP_FREED_MEMORY}
