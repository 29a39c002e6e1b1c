"""What a process sets before JAX computes, seen from inside one that has set it."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stablefit.training import host

ROOT = Path(__file__).parents[2]

# Ten times 64 MB, freed each time, as a step's temporaries are: faulted in once if they stay, ten times if they do not.
# They are a thread's, which has memory of its own before anything is set if it is early.
PROGRAM = """
import ctypes, resource, sys, threading
from stablefit.training import host
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
ready, go = threading.Event(), threading.Event()
def steps():
    if "early" in sys.argv:
        libc.free(libc.malloc(ctypes.c_size_t(100)))
        ready.set()
        go.wait()
    for _ in range(10):
        block = libc.malloc(ctypes.c_size_t(1 << 26))
        ctypes.memset(block, 1, 1 << 26)
        libc.free(block)
thread = threading.Thread(target=steps)
if "early" in sys.argv:
    thread.start()
    ready.wait()
if "set" in sys.argv:
    print(host.prepare())
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
if "early" in sys.argv:
    go.set()
else:
    thread.start()
thread.join()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) * resource.getpagesize() >> 26)
"""


def lines(*arguments, **environment):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return done.stdout.splitlines()


@pytest.mark.skipif(sys.platform != "linux" or not os.confstr("CS_GNU_LIBC_VERSION"), reason="needs glibc")
def test_freed_memory_is_kept_and_that_is_said(tmp_path):
    said, faulted = lines("set", STABLEFIT_CACHE=str(tmp_path))
    assert said == f"freed memory stays in the process; compiled programs are kept in {tmp_path}"
    assert int(faulted) <= 2
    assert int(lines()[0]) >= 9  # without it
    assert lines("set", STABLEFIT_CACHE="")[0].endswith("; compiled programs are not kept")


@pytest.mark.skipif(sys.platform != "linux" or not os.confstr("CS_GNU_LIBC_VERSION"), reason="needs glibc")
def test_a_process_that_has_threads_already_needs_the_variables():
    assert int(lines("early", "set")[-1]) >= 9
    assert int(lines("early", "set", **host.environment())[-1]) <= 2


@pytest.mark.skipif(sys.platform != "linux" or not os.confstr("CS_GNU_LIBC_VERSION"), reason="needs glibc")
def test_kept_memory_can_be_given_back():
    program = """
import ctypes, os
from pathlib import Path
from stablefit.training import host
host.prepare()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20
blocks = [libc.malloc(ctypes.c_size_t(1 << 26)) for _ in range(6)]
for block in blocks:
    ctypes.memset(block, 1, 1 << 26)
for block in blocks[:-1]:  # one piece on top stays, as a live array does
    libc.free(block)
kept = resident()
host.return_memory()
print(kept - resident())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=os.environ | {"STABLEFIT_CACHE": ""},
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert int(done.stdout) > 300  # MB


@pytest.mark.parametrize(
    ("said", "given"),
    [
        ("MemTotal: 1000 kB\nMemAvailable: 249 kB\n", 1),
        ("MemTotal: 1000 kB\nMemAvailable: 251 kB\n", 0),
        ("MemTotal: 1000 kB\n", 0),
        ("nonsense", 0),
        (None, 0),
    ],
)
def test_memory_is_given_back_where_it_is_short(tmp_path, monkeypatch, said, given):
    asked = []
    monkeypatch.setattr(host, "_MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(host, "return_memory", lambda: asked.append(1))
    if said is not None:
        (tmp_path / "meminfo").write_text(said)
    host.return_memory_if_short()
    assert len(asked) == given


def test_a_program_that_a_kill_left_half_written_does_not_end_the_cache(tmp_path):
    """JAX writes a program and then the time of its use; without the time JAX 0.10 keeps no other program."""
    from jax._src.lru_cache import LRUCache

    cache = LRUCache(str(tmp_path), max_size=1 << 20)
    cache.put("whole", b"a program")
    (tmp_path / "half-cache").write_bytes(b"a pro")
    with contextlib.suppress(FileNotFoundError):  # of half-atime
        cache.put("next", b"another")
    host._remove_half_written(tmp_path)
    cache.put("next", b"another")
    assert (cache.get("whole"), cache.get("next"), cache.get("half")) == (b"a program", b"another", None)


def test_the_cache_is_mended_before_it_is_used(tmp_path, monkeypatch):
    mended = []
    monkeypatch.setenv("STABLEFIT_CACHE", str(tmp_path))
    monkeypatch.setattr(host, "_remove_half_written", mended.append)
    monkeypatch.setattr("jax.config.update", lambda *_: None)
    monkeypatch.setattr(host, "_KEEP_FREED_MEMORY", ())
    assert f"kept in {tmp_path}" in host.prepare()
    assert mended == [tmp_path]


def test_a_gpu_adds_in_one_order_unless_xla_is_told_otherwise(tmp_path):
    """A plug-in for GPUs is what JAX finds it by: a folder in the namespace jax_plugins."""
    program = "import os\nfrom stablefit.training import host\nprint(host.prepare(), '|', os.environ.get('XLA_FLAGS'))"
    (tmp_path / "jax_plugins" / "xla_cuda99").mkdir(parents=True)

    def said(path="", **environment):
        known = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
        known |= {"STABLEFIT_CACHE": "", "PYTHONPATH": path, **environment}
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, env=known, capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout.strip().split("not kept")[1].split(" | ")

    plugin = str(tmp_path)
    assert said() == ["", "None"]
    assert said(plugin) == ["; a GPU adds in one order", host._ONE_ORDER]
    assert said(plugin, XLA_FLAGS="--xla_dump_to=x") == [
        "; a GPU adds in one order",
        f"--xla_dump_to=x {host._ONE_ORDER}",
    ]
    free = "--xla_gpu_exclude_nondeterministic_ops=false"
    assert said(plugin, XLA_FLAGS=free) == ["; XLA_FLAGS says in which order a GPU adds", free]
