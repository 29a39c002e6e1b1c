"""The checks of programs for TPUs, on a CPU: that they pass and that they fail; and the page made from the results."""

import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import tpu_compile, tpu_page, tpu_programs
from benchmarks.tpu_programs import Case
from stablefit.data.packing import Layout

TINY = Case("tiny", "rte_mixout", "bfloat16", 2, "v5e:1x1", rows=4, length=16)


@pytest.mark.parametrize("program", tpu_programs.PROGRAMS)
def test_what_is_lowered_from_shapes_is_what_a_run_compiles(program):
    """Text for text, with arrays as a run places them."""
    case = TINY._replace(program=program)
    job, cohort, lowered = tpu_programs.lowered(case, jax.devices())
    table, batches = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), tpu_programs.shapes(case, False))
    pretrained = cohort.put(jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), job.pretrained))
    keys = jax.random.wrap_key_data(cohort.put(np.zeros((2, 2), np.uint32), "member"))
    traced, table = cohort.traced([job.hypers] * 2), cohort.put(table)
    state = jax.tree.map(jnp.zeros_like, jax.eval_shape(cohort.init, keys, pretrained, traced))
    state = cohort.put(state, "member")
    own = cohort.put_batches(Layout(*(np.stack([x, x]) for x in batches)), by_member=True)
    arguments = {
        "init": (keys, pretrained, traced),
        "train": (state, table, own, keys, 32, traced),
        "predict": (state.params, table, cohort.put_batches(batches, by_member=False)),
        "keep_better": (state.params, state.params, cohort.put(np.array([True, False]), "member")),
    }
    assert getattr(cohort, program).lower(*arguments[program]).as_text() == lowered.as_text()


def test_a_row():
    row = tpu_compile.compiled(TINY._replace(program="keep_better"), jax.devices())
    assert row["mesh"] == {"member": 1, "data": 1}
    assert row["checks"] == dict.fromkeys(("alone", "fits", "bfloat16", "host", "donated"), "")
    assert row["needed"] == sum(row["bytes"].values()) - 2 * row["bytes"]["aliased"]
    assert row["bytes"]["aliased"] > 2 * 4 * 64 * 16, "the embeddings of two members"


_SPREAD = """
import json, sys
import jax, jax.numpy as jnp, numpy as np
jax.config.update("jax_num_cpu_devices", 4)
from jax.sharding import NamedSharding, PartitionSpec as P
from benchmarks import tpu_compile, tpu_programs
from benchmarks.tpu_programs import Case
mesh = jax.make_mesh((4,), ("member",))
case = Case("tiny", "rte", "bfloat16", 4, "v5e:2x2", rows=4, length=8)

def text(fn, dtype=jnp.float32, **options):
    x = jax.ShapeDtypeStruct((4, 8, 8), dtype, sharding=NamedSharding(mesh, P("member")))
    return jax.jit(fn, **options).lower(x).compile().as_text()

def callback(x):
    return jax.pure_callback(lambda y: np.asarray(y), x, x)

def product(x):
    with jax.named_scope("encoder/layer_0"):
        return jnp.einsum("mab,mbc->mac", x, x)

seven = case._replace(members=7, program="keep_better")
cohort = tpu_programs.cohort_of(tpu_programs.job_of(seven), 7, jax.devices())
own = text(lambda x: 2 * x, donate_argnums=0)
talk = text(lambda x: x - x.mean(), out_shardings=NamedSharding(mesh, P("member")))
checks = lambda text, spread=1, needed=1, donated=0, least=4, most=4: tpu_compile.checks(
    case, spread, text, needed, donated, (least, most))
print(json.dumps({
    "own": checks(own, donated=1),
    "talk": checks(talk), "reduced": checks(talk, spread=4), "too few": checks(talk, spread=4, least=5, most=9),
    "too many": checks(talk, spread=4, least=0, most=3),
    "silent": checks(own, spread=4, donated=1),
    "lost": checks(own, donated=2),
    "big": checks(own, needed=17 << 30, donated=1),
    "callback": checks(text(callback)),
    "wide": checks(text(product)),
    "seven": tpu_compile.compiled(seven, jax.devices()),
    "filled": np.asarray(cohort.put(np.arange(7), "member")).tolist(),
    "row": tpu_compile.compiled(case._replace(program="keep_better"), jax.devices()),
}))
"""


@pytest.fixture(scope="module")
def spread():
    """Rows and checks of small programs on four devices."""
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    done = subprocess.run([sys.executable, "-c", _SPREAD], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_members_on_four_devices_do_not_talk(spread):
    assert not any(spread["own"].values())
    assert spread["row"]["products"] == {}
    assert spread["row"]["mesh"] == {"member": 4, "data": 1}
    assert not any(spread["row"]["checks"].values())


def test_seven_members_are_eight_on_four_devices(spread):
    """What is lowered from shapes has the filler too: two members on each device."""
    assert spread["filled"] == [0, 1, 2, 3, 4, 5, 6, 6]
    assert spread["seven"]["mesh"] == {"member": 4, "data": 1}
    assert not any(spread["seven"]["checks"].values())
    assert spread["seven"]["bytes"]["aliased"] == 2 * spread["row"]["bytes"]["aliased"]


@pytest.mark.parametrize(
    ("program", "check"),
    [
        ("talk", "alone"),
        ("too few", "gradients"),
        ("too many", "gradients"),
        ("silent", "gradients"),
        ("lost", "donated"),
        ("big", "fits"),
        ("wide", "bfloat16"),
    ],
)
def test_a_check_fails(spread, program, check):
    assert [name for name, wrong in spread[program].items() if wrong] == [check]


def test_a_callback_is_found(spread):
    assert "callback" in spread["callback"]["host"]


def test_gradients_are_reduced_where_batches_are_spread(spread):
    assert not any(spread["reduced"].values())


def test_what_the_compiler_says_of_too_little_memory():
    said = "RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Used 20.10G of 15.75G hbm. Exceeded by 4.35G."
    assert tpu_compile.no_room(said) == "Used 20.10G of 15.75G hbm"
    assert tpu_compile.no_room("RESOURCE_EXHAUSTED: other\nwords") == "RESOURCE_EXHAUSTED: other"


def test_a_run_goes_on(tmp_path, monkeypatch):
    """A case that has a row is not tried again; one that could not be compiled is where it is asked for."""
    out, tried = tmp_path / "out.json", []

    def attempt(case, limit_s, floor):
        tried.append(case.program)
        return {**case._asdict(), "not_compiled": "why"} if case.program == "train" else row(case)

    def row(case):
        return {**case._asdict(), "compile_s": 1.0, "checks": {"alone": ""}}

    monkeypatch.setattr(tpu_compile, "attempt", attempt)
    monkeypatch.setattr(tpu_compile, "version", lambda _: "1")
    arguments = ["--only=MiniLM rte bfloat16 8 x", f"--out={out}"]
    for more in ([], [], ["--again"]):
        assert tpu_compile.main([*arguments, *more]) == 0
        tried.append("|")
    assert tried == [*tpu_programs.PROGRAMS, "|", "|", "train", "|"]
    assert len(json.loads(out.read_text())["rows"]) == 4


def test_names_of_cases_are_their_own():
    cases = tpu_compile.cases()
    assert len({case.name for case in cases}) == len(cases)


def test_the_page_is_made_from_the_results():
    rows = json.loads(tpu_compile.RESULTS.read_text())["rows"]
    text = tpu_page.PAGE.read_text()
    assert tpu_page.page(text, rows) == text


ROWS = json.loads(tpu_compile.RESULTS.read_text())["rows"]
ROWS |= json.loads(tpu_compile.RESULTS.with_name("gpu_compile.json").read_text())["rows"]


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.get("member_bytes")])
def test_a_cohort_is_as_large_as_the_compiler_says(name):
    """What a member takes is reckoned within 15 %, and the file has what is reckoned today."""
    row = ROWS[name]
    case = tpu_programs.Case(**{field: row[field] for field in tpu_programs.Case._fields})
    both = row["member_bytes"]
    assert tpu_programs.reckoned(case) == pytest.approx(both["default_size"], rel=1e-3)  # a JAX keeps some bytes more
    assert both["default_size"] == pytest.approx(both["compiler"], rel=0.15)


def test_the_committed_programs_pass_their_checks():
    rows = json.loads(tpu_compile.RESULTS.read_text())["rows"]
    compiled = {name: row for name, row in rows.items() if "not_compiled" not in row}
    assert compiled
    for name, row in compiled.items():
        assert name == Case(*(row[field] for field in Case._fields)).name
        assert not any(row["checks"].values()), name
        if row["dtype"] == "bfloat16" and row["program"] in ("train", "predict"):
            assert set(row["products"]) == {"bf16 x bf16"}, name


def test_for_a_gpu_a_step_sorts_no_more_than_its_tokens():
    """Before models/lookup.py it sorted every number that the gradient of a table adds."""
    now, before = (
        json.loads(tpu_compile.RESULTS.with_name(f"{name}.json").read_text())["rows"].values()
        for name in ("gpu_compile", "gpu_compile_before")
    )
    assert all(row["sorts"][0] == row["members"] * row["rows"] * row["length"] for row in now)
    assert [row["sorts"][0] for row in before] == [32 * 128 * 384]
