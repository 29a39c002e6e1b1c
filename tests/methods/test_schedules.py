"""The schedules at their corners, and the sums the paper's rates come to."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from stablefit import methods
from stablefit.errors import InputError


def test_warmup_linear_is_the_join_of_optax():
    ours = methods.warmup_linear(2e-5, 234, 23)
    theirs = optax.join_schedules(
        [optax.linear_schedule(0.0, 2e-5, 23), optax.linear_schedule(2e-5, 0.0, 234 - 23)], [23]
    )
    steps = jnp.arange(240)
    np.testing.assert_allclose(ours(steps), jax.vmap(theirs)(steps), rtol=1e-5, atol=1e-11)
    assert float(ours(0)) == 0
    assert float(ours(23)) == pytest.approx(2e-5)
    assert float(ours(234)) == 0 == float(ours(1000))


@pytest.mark.parametrize(
    ("steps", "total"), [(96, 9.6e-4), (234, 2.34e-3), (345, 3.45e-3), (540, 5.4e-3), (804, 8.04e-3)]
)
def test_sum_over_a_run(steps, total):
    rates = methods.warmup_linear(2e-5, steps, int(0.1 * steps))(np.arange(1000))  # one shape: zero after the end
    assert float(np.sum(rates)) == pytest.approx(total, rel=0.01)


def test_bert_schedule_jumps_at_the_end_of_the_warmup():
    schedule = methods.bert_schedule(1.0, 100, 10)
    assert float(schedule(9)) == pytest.approx(0.9)
    assert float(schedule(10)) == pytest.approx(0.9)  # not 1.0: the decay began at step 0
    assert float(schedule(50)) == pytest.approx(0.5)


@pytest.mark.parametrize("make", [methods.warmup_linear, methods.bert_schedule])
def test_corners_and_tracing(make):
    assert float(make(1.0, 10)(0)) == 1.0
    assert float(make(1.0, 10, 10)(9)) == pytest.approx(0.9)
    assert float(make(1.0, 10, 10)(10)) == 0.0
    assert np.isfinite(make(1.0, 0, 0)(jnp.arange(3))).all()
    traced = jax.jit(lambda peak, total, warmup, step: make(peak, total, warmup)(step))
    assert float(traced(1.0, 20, 4, 7)) == pytest.approx(float(make(1.0, 20, 4)(7)))
    peaks = jax.vmap(lambda peak: make(peak, 20, 4)(7))(jnp.asarray([1.0, 2.0]))
    assert float(peaks[1]) == pytest.approx(2 * float(peaks[0]))


@pytest.mark.parametrize("make", [methods.warmup_linear, methods.bert_schedule])
@pytest.mark.parametrize("arguments", [(-1.0, 10, 1), (1.0, 10, 11), (1.0, -10, 0)])
def test_wrong_values_raise(make, arguments):
    with pytest.raises(InputError, match="it must"):
        make(*arguments)
