"""What is made from the one declaration of a field: the base config, the checks, the three parts, the page."""

import dataclasses
import math
from pathlib import Path

import pytest

from stablefit import fields_page
from stablefit.configs import base
from stablefit.errors import InputError
from stablefit.fields import FIELDS, Hypers, Policy, Spec
from stablefit.training import settings

PAGE = Path(__file__).parents[2] / "docs" / "fields.md"


def test_the_page_is_current():
    assert PAGE.read_text() == fields_page.page(), "python -m stablefit.fields_page > docs/fields.md"
    assert all(f"`{name}`" in PAGE.read_text() for name in FIELDS)


def test_every_field_is_in_one_part():
    parts = [{field.name for field in dataclasses.fields(cls)} for cls in (Spec, Hypers, Policy)]
    assert set.union(*parts) == FIELDS.keys()
    assert sum(map(len, parts)) == len(FIELDS)


def test_roles():
    roles = {role: {name for name, field in FIELDS.items() if field.role == role} for role in ("traced", "policy")}
    assert roles["traced"] >= {"learning_rate", "weight_decay", "mixout_rate"}
    assert not roles["traced"] & {"b1", "eps", "warmup_ratio", "bias_correction"}
    assert roles["policy"] == {field.name for field in dataclasses.fields(Policy)}


@pytest.mark.parametrize("name", FIELDS)
def test_a_default_is_allowed_and_is_of_the_documented_kind(name):
    field = FIELDS[name]
    assert field.kind in (int, float, bool, str, tuple)
    resolved = {"pooling": "pooler"}  # no directory says how the default model is read
    assert settings.read(base.get_config()).values[name] == resolved.get(name, field.default)
    assert field.check(field.default) or name == "model"
    assert field.said.endswith((".", "off.", "kept."))
    assert "|" not in field.said
    assert field.off is None or type(field.off) is field.kind
    assert field.before is None or type(field.before) is field.kind
    if field.role == "traced":
        assert field.off is not None


def test_choices_come_from_the_annotation():
    with pytest.raises(InputError, match="one of best, best_and_last, none"):
        settings.read({**base.get_config(), "keep": "all"})
    with pytest.raises(InputError, match="one of linear, bert, uncorrected"):
        settings.read({**base.get_config(), "schedule": "cosine"})
    with pytest.raises(InputError, match="True or False"):
        settings.read({**base.get_config(), "crf": 1})


def test_what_is_traced_is_what_is_off_its_identity():
    at = settings.read({**base.get_config(), "clip_norm": math.inf, "weight_decay": 0.1, "bias_correction": "none"})
    assert at.hypers.traced() == {"learning_rate": 2e-5, "weight_decay": 0.1}
    assert (at.hypers.correct_first, at.hypers.correct_second) == (False, False)


def test_what_the_program_uses_is_parsed():
    config = {**base.get_config(), "lr_multipliers": "head/.*=10 crf/.*=0.5", "reinit_patterns": "a b"}
    spec = settings.read(config).spec
    assert spec.lr_multipliers == (("head/.*", 10.0), ("crf/.*", 0.5))
    assert spec.reinit_patterns == ("a", "b")


def test_the_parts_say_what_a_policy_is():
    read = settings.read({**base.get_config(), "patience": 3})
    assert read.policy.patience == 3
    assert (
        read.program != settings.read(base.get_config()).program
    )  # it still keeps programs apart, which is never wrong
