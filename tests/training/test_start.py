"""What a member starts with: new heads and re-initialised leaves with the standard deviation of the model's own config,
and everything else pre-trained."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stablefit.data.tasks import get_task
from stablefit.models.config import EncoderConfig
from stablefit.objectives.classification import Classification
from stablefit.objectives.tagging import Tagging
from stablefit.paths import key_for, names
from stablefit.training import job, settings
from tests import tiny

STD = 0.37  # no model has it


@pytest.fixture(scope="module")
def root(tiny_root, tmp_path_factory):
    """The tiny task, and the tiny model with another initializer_range."""
    place = tmp_path_factory.mktemp("start")
    shutil.copytree(tiny_root / "model", place / "model")
    shutil.copytree(tiny_root / "RTE", place / "RTE")
    file = place / "model" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"initializer_range": STD}))
    return place


def made(root, **changes):
    """The parameters that a job's member starts with, and the pre-trained ones, by name."""
    the_job = job.load(settings.read(tiny.config(root, **changes)))
    trees = the_job.network.make_params(jax.random.key(5), the_job.pretrained), the_job.pretrained
    return [dict(zip(names(tree), map(np.asarray, jax.tree.leaves(tree)), strict=True)) for tree in trees]


def normal(name, shape, purpose=""):
    return STD * np.asarray(jax.random.normal(key_for(jax.random.key(5), purpose + name), shape))


def test_a_new_head_has_the_spread_of_the_config(root):
    params, pretrained = made(root)
    np.testing.assert_allclose(params["head/kernel"], normal("head/kernel", (8, 2)), rtol=1e-6)
    np.testing.assert_array_equal(params["head/bias"], 0)
    assert params.keys() - pretrained.keys() == {"head/kernel", "head/bias"}
    for name in pretrained:
        np.testing.assert_array_equal(params[name], pretrained[name])


def test_a_new_pooler_has_the_spread_of_the_config():
    config = EncoderConfig(9, 8, 1, 2, 16, initializer_range=STD)
    params = Classification(get_task("rte")).start(jax.random.key(5), config, {"encoder": {}})
    kernel = params["encoder"]["pooler"]["kernel"]
    np.testing.assert_allclose(kernel, normal("encoder/pooler/kernel", (8, 8)), rtol=1e-6)


def test_the_head_of_a_tagger_has_the_spread_of_the_config():
    config = EncoderConfig(9, 8, 1, 2, 16, initializer_range=STD)
    task = Tagging(get_task("ccks"), {}, ("LOC", "PER"), 0, 0, True, False, ())
    params = task.start(jax.random.key(5), config, {"encoder": {}})
    np.testing.assert_allclose(params["head"]["kernel"], normal("head/kernel", (8, 5)), rtol=1e-6)
    assert {name: float(jnp.abs(x).max()) for name, x in params["crf"].items()} == dict.fromkeys(params["crf"], 0.0)


def test_what_is_re_initialised_has_the_spread_of_the_config_and_the_rest_is_pre_trained(root):
    params, pretrained = made(root, reinit_layers=1, reinit_patterns="encoder/layer_0/attention/query/.*")
    for name, x in pretrained.items():
        again = name.startswith(("encoder/layer_1/", "encoder/pooler/", "encoder/layer_0/attention/query/"))
        if not again:
            np.testing.assert_array_equal(params[name], x, err_msg=name)
        elif name.endswith("kernel"):
            np.testing.assert_allclose(params[name], normal(name, x.shape, "reinit/"), rtol=1e-6, err_msg=name)
        else:
            np.testing.assert_array_equal(params[name], float(name.endswith("scale")), err_msg=name)
