"""The loss as one of the four times: traced in one program, absent at its identity, right for every kind of task."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from stablefit import methods
from stablefit.data import tasks
from stablefit.errors import InputError
from stablefit.objectives.classification import Classification
from stablefit.objectives.multilabel import Multilabel
from stablefit.objectives.regression import Regression
from stablefit.objectives.tagging import Tagging
from stablefit.training import job, loop, progress, rundir, settings, steps
from tests import tiny
from tests.methods import reference
from tests.methods.trees import same_bits
from tests.training import test_fields

QUIET = progress.Progress(0, quiet=True)


@pytest.fixture(scope="module")
def prepare(tiny_root):
    """`prepare(**changes)`: a job of six steps with a network that compiles fast; its noise is mixout's."""
    common = {"dropout": 0.0, "mixout_rate": 0.3, "max_steps": 6, "evaluations": 2}
    return lambda **changes: test_fields.with_small_network(
        job.load(settings.read(tiny.config(tiny_root, **common | changes)))
    )


def losses(the_job, cells, path):
    """The training losses of each cell's first seed, with all cells in one program."""
    folders = {name: rundir.RunDirectory(path / name, one.settings) for name, one in cells.items()}
    loop.run_together(the_job, folders, QUIET)
    for folder in folders.values():
        folder.__exit__()
    files = [path / name / "seed_0" / "metrics.jsonl" for name in cells]
    return [[row["loss"] for row in rundir.read_lines(file) if "split" not in row] for file in files]


@pytest.mark.parametrize("field", ["r_drop", "sam_rho"])
def test_members_differ_in_a_traced_value(field, prepare, tmp_path):
    """Two values are two members of one program, each as if it were alone."""
    both = {"together": 2, "alone": 1}
    cells = {
        how: {f"{value}": prepare(**{field: value}, cohort_size=size) for value in (0.2, 0.9)}
        for how, size in both.items()
    }
    found = {how: losses(next(iter(own.values())), own, tmp_path / how) for how, own in cells.items()}
    assert len({one.settings.program for one in cells["together"].values()}) == 1
    np.testing.assert_allclose(found["together"], found["alone"], rtol=1e-4)
    assert found["alone"][0] != found["alone"][1]
    assert prepare().settings.program != cells["alone"]["0.2"].settings.program


def passes(the_job):
    """How often a step's program calls the network."""
    cohort, calls = the_job.cohort(1, the_job.total_steps), []
    network = cohort.model

    class Counted:
        @staticmethod
        def apply(*given, **options):
            calls.append(1)
            return network.apply(*given, **options)

    recipe = the_job.network.recipe(the_job.hypers, the_job.total_steps)
    data = the_job.data["train"]
    table = steps.Table(data.tokens, data.types, the_job.objective.targets(data))
    params = the_job.network.make_params(jax.random.key(0), the_job.pretrained)
    state = steps.TrainState(jnp.int32(0), params, recipe.update(params).init(params), recipe.forward.init(params))
    jax.eval_shape(
        lambda state: steps.train_step(
            state,
            table,
            batch(the_job),
            jax.random.key(1),
            model=Counted,
            losses=the_job.objective.losses,
            transform=recipe.forward,
            loss=recipe.loss,
            optimizer=recipe.update(params),
        ),
        state,
    )
    return len(calls)


def batch(the_job):
    from stablefit.training.order import Order

    data = the_job.data["train"]
    layout, _ = next(Order([0], data.lengths, data.tokens.shape[1], 8, 6, 1).pieces(0, 1))
    return jax.tree.map(lambda x: jnp.asarray(x)[0, 0], layout)


def test_identity_costs_no_second_pass(prepare):
    assert passes(prepare()) == 1
    assert passes(prepare(r_drop=1.0)) == 2
    assert passes(prepare(sam_rho=0.1)) == 2


def test_old_runs_keep_their_names(tiny_root):
    now = settings.read(tiny.config(tiny_root))
    assert not {"r_drop", "sam_rho"} & now.identity.keys()
    assert settings.read(tiny.config(tiny_root, sam_rho=0.05)).identity["sam_rho"] == 0.05


def test_two_equal_passes_are_refused(tiny_root):
    with pytest.raises(InputError, match="r_drop is 1, and dropout and mixout_rate are 0"):
        settings.read(tiny.config(tiny_root, r_drop=1.0, dropout=0.0))
    settings.read(tiny.config(tiny_root, r_drop=1.0, dropout=0.1))


def test_divergences_of_each_kind():
    rng = np.random.default_rng(0)
    z, y = (jnp.asarray(x, jnp.float32) for x in rng.normal(size=(2, 4, 3)))
    task = tasks.get_task("rte")
    pairs = [(reference.softmax(a), reference.softmax(b)) for a, b in zip(z, y, strict=True)]
    softmaxes = np.array([reference.symmetric_kl(p, q) for p, q in pairs])
    np.testing.assert_allclose(Classification(task).divergences(z, y, jnp.zeros(4)), softmaxes, rtol=1e-4)
    np.testing.assert_allclose(Regression(task).divergences(z, y, jnp.zeros(4)), (z - y)[:, 0] ** 2, rtol=1e-6)
    pairs = [[reference.sigmoid(float(x)) for x in row] for row in (z[0], y[0])]
    each = [reference.symmetric_kl((a, 1 - a), (b, 1 - b)) for a, b in zip(*pairs, strict=True)]
    np.testing.assert_allclose(Multilabel(task).divergences(z, y, jnp.zeros((4, 3)))[0], np.mean(each), rtol=1e-4)
    tagger = Tagging(task, {}, ("PER",), 0, 0, True, False, ())
    of_words = tagger.divergences(z[None], y[None], jnp.array([[0, 1, -1, 2]]))
    np.testing.assert_allclose(of_words, [softmaxes[[0, 1, 3]].sum()], rtol=1e-4)


def test_the_update_is_given_the_gradient_function(prepare):
    """Mixout as the first link of the chain, by its adapter, takes the steps of mixout at forward time."""
    the_job = prepare(mixout_rate=0.5)
    params = the_job.network.make_params(jax.random.key(0), the_job.pretrained)
    data = the_job.data["train"]
    table = steps.Table(data.tokens, data.types, the_job.objective.targets(data))
    noise, mixout = jax.random.key(5), methods.mixout(0.5)

    def run(transform, optimizer):
        state = steps.TrainState(jnp.int32(0), params, optimizer.init(params), transform.init(params))
        for _ in range(3):
            state, _ = steps.train_step(
                state,
                table,
                batch(the_job),
                noise,
                model=the_job.network.model,
                losses=the_job.objective.losses,
                transform=transform,
                optimizer=optimizer,
            )
        return state.params

    adapter = optax.chain(methods.as_gradient_transformation(mixout, noise), optax.adam(0.1))
    at_forward, without = run(mixout, optax.adam(0.1)), run(methods.identity(), optax.adam(0.1))
    same_bits(at_forward, run(methods.identity(), adapter))
    assert np.any(at_forward["head"]["kernel"] != without["head"]["kernel"])
