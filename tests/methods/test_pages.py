"""The pages of the methods are those of their docstrings, and what a picture plots is what the method does."""

import functools
import inspect
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from experiments import method_pictures
from stablefit import methods_page

DOCS = Path(__file__).parents[2] / "docs"
COMMAND = "python -m experiments.method_pictures"
PICTURES = method_pictures.pictures()


@functools.cache
def picture(name):
    return PICTURES[name]()


def plotted(name, label):
    series = next(series for series in picture(name).series if series.label == label)
    return dict(zip(picture(name).names or np.asarray(series.x).tolist(), series.y, strict=True))


def caption_on(name):
    """What stands below the picture on its page."""
    return (DOCS / "methods" / f"{name}.md").read_text().split(".svg)\n\n")[1].partition("\n\n")[0]


def test_pages_are_made_from_the_docstrings():
    # captions are compared in the test of each picture, where their numbers may differ in the last digit
    shown = {
        name: methods_page.Shown(method_pictures.shown(picture(name)).alt, caption_on(name).replace("\n", " "))
        for name in PICTURES
    }
    pages = methods_page.pages(shown)
    for file, text in pages.items():
        assert (DOCS / file).read_text() == text, f"{file}: {COMMAND}"
    made = {*(DOCS / file for file in pages), *(DOCS / "methods" / f"{name}.svg" for name in PICTURES)}
    assert set((DOCS / "methods").iterdir()) == made - {DOCS / "methods.md"}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_has_the_numbers_of_the_method(name):
    file = DOCS / "methods" / f"{name}.svg"
    text, now = file.read_text(), method_pictures.data(picture(name))
    assert len(text) < 15_000
    assert ElementTree.fromstring(text).tag.endswith("svg")
    kept = method_pictures.data_of(text)
    assert kept.keys() == now.keys(), f"{file}: {COMMAND}"
    for label, y in now.items():
        np.testing.assert_allclose(kept[label], y, rtol=2e-3, atol=1e-5, err_msg=f"{label}: {COMMAND}")
    was, said = (re.split(r"-?\d+\.\d+", text.replace("\n", " ")) for text in (caption_on(name), picture(name).caption))
    assert was == said, f"{name}.md: {COMMAND}"


def test_every_method_has_a_page_with_all_its_parts():
    all_functions = {*methods_page.METHODS, *methods_page.COMBINING, *sum(methods_page.BESIDE.values(), ())}
    assert methods_page.functions().keys() == all_functions
    for name in methods_page.METHODS:
        page = (DOCS / "methods" / f"{name}.md").read_text()
        assert page.startswith(f"# {name}\n")
        assert "**Trap:** " in page
        assert re.search(r"\n    \S", page), f"{name} has no equation"
        assert "**Reference:** " in page or name == "scale_by_path"  # which is of no paper


@pytest.mark.parametrize("name", methods_page.functions())
def test_every_function_has_an_example_that_the_tests_run(name):
    assert ">>>" in inspect.getdoc(methods_page.functions()[name])


def test_links_lead_somewhere():
    for file in [DOCS / "methods.md", *(DOCS / "methods").glob("*.md")]:
        for link in re.findall(r"\]\(([^)]+)\)", file.read_text()):
            target, _, anchor = link.partition("#")
            assert (file.parent / target).exists(), f"{file}: {link}"
            assert not anchor or f"\n## {anchor}\n" in (file.parent / target).read_text(), f"{file}: {link}"


def test_a_figure_is_drawn_the_same_each_time():
    one, other = (method_pictures.svg("clip_by_global_norm", picture("clip_by_global_norm")) for _ in range(2))
    assert one == other


# What is known of each, worked out by hand.


def test_reinit_moves_the_top_alone():
    top = plotted("reinit", "layers=2")
    moved = {name for name, distance in top.items() if distance > 0}
    assert moved == {"10", "11", "pooler"}
    # fresh and old values are of one distribution, so that their difference is sqrt(2) as long
    assert top["11"] == pytest.approx(2**0.5, rel=0.05)
    assert {name for name, d in plotted("reinit", "layers=0, pooler=True").items() if d > 0} == {"pooler"}


def test_mixout_takes_u_or_goes_beyond_w_and_is_w_in_the_mean():
    u, w, one, mean = (series.y for series in picture("mixout").series)
    taken = one == u
    assert 0 < taken.sum() < len(u)
    np.testing.assert_allclose(one[~taken], (u + 2 * (w - u))[~taken], rtol=1e-5)
    np.testing.assert_allclose(mean, w, atol=5 * 0.02 * 2 / 4000**0.5)


def test_r_drop_adds_alpha_times_the_divergence():
    labels = "mean of both losses", "alpha = 1", "alpha = 4"
    mean, one, four = (np.asarray([*plotted("r_drop", label).values()]) for label in labels)
    np.testing.assert_allclose(four - mean, 4 * (one - mean), atol=1e-5)
    p, q = 1 / (1 + np.exp(-3)), 1 / (1 + np.exp(1))  # at d = 4 the logits are 3 and -1
    assert one[-1] - mean[-1] == pytest.approx((p - q) * 4 / 2, rel=1e-5)


def test_sam_prefers_the_wide_minimum():
    w, plain, sharp = (picture("sam").series[0].x, *(series.y for series in picture("sam").series))
    assert plain[w < 0].min() < plain[w > 0].min()
    assert sharp[w > 0].min() < sharp[w < 0].min() - 0.5
    assert sharp[w > 0].min() == pytest.approx(1 - 0.9 * np.exp(-0.5 * (0.2 / 0.6) ** 2), abs=2e-3)


def test_adam_without_correction_is_6_57_times_as_long_at_step_12():
    none = plotted("scale_by_adam", 'bias_correction="none"')
    assert [none[1], none[12], none[1000]] == pytest.approx([3.162, 6.569, 1.258], abs=2e-3)
    np.testing.assert_allclose(list(plotted("scale_by_adam", 'bias_correction="both"').values()), 1, rtol=1e-5)


def test_adamw_decays_whatever_the_gradient_is_and_l2_does_not():
    assert plotted("adamw", "adamw, weight_decay=1")[200] == pytest.approx(0.99**200, abs=5e-3)
    assert plotted("adamw", "the decay in front of Adam (L2)")[200] > 0.75
    assert plotted("adamw", "weight_decay=0")[200] == pytest.approx(1, abs=0.03)


def test_the_eps_of_bert_adam_halves_the_first_step_of_3e_5():
    first = plotted("bert_adam", "bert_adam, step 1")
    assert np.interp(1e-6 / 0.001**0.5, list(first), list(first.values())) == pytest.approx(3.162 / 2, rel=0.02)
    assert list(plotted("bert_adam", "bert_adam, step 12").values())[-1] == pytest.approx(6.57, abs=0.01)


def test_clips_by_one_factor_or_by_each_its_own():
    before, every = (np.asarray([*plotted("clip_by_global_norm", label).values()]) for label in ("before", "after"))
    np.testing.assert_allclose(every, before / np.linalg.norm(before), rtol=1e-5)
    own = np.asarray([*plotted("clip_by_component_norm", "after").values()])
    np.testing.assert_allclose(own, np.minimum(before, 1), rtol=1e-5)


def test_decays_go_to_0_or_to_where_it_began():
    assert plotted("add_weight_decay", "kernel")[48] == pytest.approx(0.95**48, rel=1e-4)
    assert set(plotted("add_weight_decay", "bias").values()) == {1.0}
    assert plotted("add_decay_to_init", "add_decay_to_init")[48] == pytest.approx(0.4 + 0.6 * 0.95**48, rel=1e-4)
    assert plotted("add_decay_to_init", "add_weight_decay")[48] == pytest.approx(0.95**48, rel=1e-4)


def test_a_pull_does_not_ask_for_the_learning_rate():
    high, low = (plotted("pull_to_init", f"pull_to_init, peak {peak}") for peak in (0.1, 0.01))
    assert high == low
    assert high[48] == pytest.approx(0.4 + 0.6 * 0.95**48, rel=1e-4)
    slow = plotted("pull_to_init", "add_decay_to_init, peak 0.01")
    share = np.prod([1 - 0.5 * 0.01 * (1 - s / 100) for s in range(100)])
    assert slow[100] == pytest.approx(0.4 + 0.6 * share, rel=1e-4)


def test_selective_projection_decay_keeps_momentum_from_going_past():
    alone, whole = (plotted("selective_projection_decay", label) for label in ("momentum alone", "rate 1"))
    assert max(alone.values()) > 1.5
    assert max(whole.values()) < 1.05
    assert [whole[s] for s in (0, 2, 4)] == pytest.approx([alone[s] for s in (0, 2, 4)])


def test_layer_decay_is_a_power_by_depth_and_nothing_in_front_of_adam():
    paper = plotted("scale_by_layer_decay", 'convention="paper"')
    assert [paper[n] for n in ("embed-\ndings", "0", "11", "pooler", "head")] == pytest.approx(
        [0.9**13, 0.9**12, 0.9, 1, 1]
    )
    electra = plotted("scale_by_layer_decay", 'convention="electra"')
    assert [electra[n] / paper[n] for n in ("embed-\ndings", "0", "11", "head")] == pytest.approx([0.9, 0.9, 0.9, 1])
    np.testing.assert_allclose(list(plotted("scale_by_layer_decay", "in front of Adam").values()), 1, rtol=1e-5)


def test_a_factor_by_path_acts_after_adam_alone():
    after, before = (plotted("scale_by_path", label) for label in ("after Adam", "in front of Adam"))
    assert [after["crf"], after["head"], before["crf"]] == pytest.approx([100, 1, 1], rel=1e-4)


def test_schedules_rise_to_the_peak_or_jump_below_it():
    linear, bert = plotted("warmup_linear", "w = 20"), plotted("bert_schedule", "bert_schedule")
    assert [linear[s] for s in (0, 10, 20, 60, 100, 110)] == pytest.approx([0, 0.5, 1, 0.5, 0, 0])
    assert [bert[s] for s in (0, 19, 20, 60, 100, 110)] == pytest.approx([0, 0.95, 0.8, 0.4, 0, 0], abs=1e-7)
    assert plotted("bert_schedule", "warmup_linear") == linear
