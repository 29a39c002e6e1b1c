"""Ctrl-C at any moment, and under a reader that goes with it: the exit code, one line, no traceback."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest

COMMANDS = {
    "run": ["-m", "stablefit.main", "--config=configs/reviews.py"],
    "fit": ["-m", "stablefit", "fit", "PLACE/t.csv", "--out=PLACE/out"],
    "report": ["-m", "stablefit.report", "PLACE"],
}


# What a shell starts in the background ignores Ctrl-C, and so does all that it starts, such as this test.
LISTENS = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"


@contextlib.contextmanager
def running(code, **streams):
    """A Python that runs this, and is gone with its pipes whatever happens."""
    with subprocess.Popen([sys.executable, "-c", LISTENS + code], text=True, **streams) as process:
        try:
            yield process
        finally:
            process.kill()


def start(command, place, **streams):
    (place / "t.csv").write_text("text,label\n" + "".join(f"text number {i},{'ab'[i % 2]}\n" for i in range(60)))
    argv = [word.replace("PLACE", str(place)) for word in command]
    # Python itself would exit on a signal while it starts: the first line of a trace says that it no longer does.
    code = "import sys, runpy; from stablefit import program; old = program.run\n"
    code += "def run(usage, body, argv):\n"
    code += "    def told(argv):\n        print('ready', file=sys.stderr, flush=True); return body(argv)\n"
    code += "    return old(usage, told, argv)\n"
    code += f"program.run = run; sys.argv = {['x', *argv[2:]]!r}\n"
    code += f"runpy.run_module({argv[1]!r}, run_name='__main__', alter_sys=True)\n"
    return running(code, env={**os.environ, "JAX_PLATFORMS": "cpu"}, **streams)


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("after", [0.0, 0.7])
def test_before_the_first_step(name, after, tmp_path):
    with start(COMMANDS[name], tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr.readline() == "ready\n"
        time.sleep(after)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    if process.returncode in (0, 2) and name == "report":
        return  # it was done before
    assert process.returncode == 130, (out, err)
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("stablefit: interrupted")


def test_under_a_reader_that_ends_too(tmp_path):
    """As `2>&1 | tee log`, which Ctrl-C ends as well: nobody reads the last line, and the code is that of Ctrl-C."""
    read, write = os.pipe()
    with start(COMMANDS["run"], tmp_path, stdout=write, stderr=write) as process:
        os.close(write)
        with os.fdopen(read) as reader:
            while "ready" not in reader.readline():
                pass
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130


IN_A_LIBRARY = """
            try:
                print("ready", file=sys.stderr, flush=True); time.sleep(60)
            except BaseException:
                time.sleep(60)
"""
IN_A_CALLBACK = """
            def called(*_):
                print("ready", file=sys.stderr, flush=True); time.sleep(60)
            gc.callbacks.append(called); gc.collect()
"""


@pytest.mark.parametrize("lost", [IN_A_LIBRARY, IN_A_CALLBACK])
def test_where_its_exception_is_lost(lost):
    code = f"""if True:
        import gc, sys, time
        from stablefit import program
        program._SWALLOWED = 0.3
        def body(argv):
            {lost}
            return 0
        program.leave(program.run("", body, ["x"]))
    """
    with running(code, stderr=subprocess.PIPE) as process:
        assert process.stderr.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == "stablefit: interrupted; what was saved before is as it was\n"


def test_a_full_disk_under_the_output_is_said(tmp_path):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "stablefit", "--version"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode != 0
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr
