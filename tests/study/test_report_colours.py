"""The colours of the page: readable in both themes, and verdicts told apart by every eye."""

import itertools

import numpy as np
import pytest

from stablefit.study import drawing


def linear(colour):
    values = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    """The ratio of WCAG 2."""
    light, dark = sorted((float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


# What eyes without one kind of cone see of linear RGB (Machado, Oliveira and Fernandes 2009, severity 1).
EYES = {
    "all": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def lab(colour, eye):
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x, y, z = np.array(to_xyz) @ np.clip(np.array(EYES[eye]) @ linear(colour), 0, 1) / [0.9505, 1.0, 1.089]
    f = [value ** (1 / 3) if value > 0.008856 else 7.787 * value + 16 / 116 for value in (x, y, z)]
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def apart(one, other, eye):
    """Distance in CIELAB; from about 20 on colours of small things are told apart."""
    return float(np.linalg.norm(lab(one, eye) - lab(other, eye)))


@pytest.mark.parametrize("theme", [drawing.LIGHT, drawing.DARK], ids=["light", "dark"])
def test_letters_and_lines_stand_out(theme):
    for letters, ground in itertools.product(("ink", "quiet", "better", "worse"), ("paper",)):
        assert contrast(theme[letters], theme[ground]) >= 4.5, letters
    for ground in ("wash", "warning"):
        assert contrast(theme["ink"], theme[ground]) >= 7
    assert contrast(theme["same"], theme["paper"]) >= 3


@pytest.mark.parametrize("eye", EYES)
@pytest.mark.parametrize("theme", [drawing.LIGHT, drawing.DARK], ids=["light", "dark"])
def test_verdicts_are_told_apart_by_every_eye(theme, eye):
    for one, other in itertools.combinations(("better", "worse", "same"), 2):
        assert apart(theme[one], theme[other], eye) > 20, (one, other)


def test_red_and_green_would_not_do():
    assert apart("#a04040", "#556b2f", "all") > 20
    assert apart("#a04040", "#556b2f", "deuteranopia") < 20


def test_a_verdict_has_a_shape_of_its_own():
    assert len({shape for _, shape in drawing.MARKS.values()}) == len(drawing.MARKS)
