"""The page of a fit: what it holds, that nothing of the user's can break it, and the terminal's form of it."""

import dataclasses
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from stablefit.data.checks.finding import Finding
from stablefit.fit.evidence import weigh
from stablefit.fit.fit_page import About, Block, render
from stablefit.fit.fit_summary import summary
from tests.fit.out_of_fold import classes, numbers, several

EVIL = "<script>alert('x')</script> & \"quoted\" {{ 7 * 7 }}"
CURVE = [(60, 0.5, 0.4, 0.6), (96, 0.7, 0.6, 0.8)]
VOID = {"meta", "br", "img", "hr", "input", "link"}


class Reader(HTMLParser):
    """Headings, texts and tags of a page; fails where tags are not closed in order."""

    def __init__(self, page: str):
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.headings: list[str] = []
        self.words: list[str] = []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            assert name not in ("src", "href", "onload", "onclick"), f"the page needs {value}"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        self.words.append(data)
        if "h2" in self.open:
            self.headings.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def about(**more) -> About:
    return About(
        title="tickets.csv: what a model of it is worth",
        file="tickets.csv",
        model="package:MiniLM",
        kept="the average of the weights of five seeds",
        columns=(("text", "body"),),
        command="stablefit fit tickets.csv --out=DIR",
        findings=(Finding("SF102", "the same text", True, "Lines 3 and 9 differ.", (3, 9), "Decide which is right."),),
        cost=(("time", "9 min"),),
        settings=(("learning rate", "0.0001"),),
        versions=(("jax", "0.10"),),
        use=(Block("In Python", "import stablefit\nstablefit.load('DIR')"),),
        **more,
    )


@pytest.mark.parametrize("make", [classes, numbers, several])
def test_the_sections_in_their_order(make):
    evidence = weigh(make(), curve=CURVE)
    page = Reader(render(evidence, about()))
    confused = {classes: ["Which classes it confuses"], several: ["Label by label"], numbers: []}[make]
    assert page.headings == [
        "The score, beside cheap baselines",
        "Where it can be trusted",
        *confused,
        "Rows whose label is probably wrong",
        "Rows the seeds disagree on",
        "Would more labels help?",
        "What the data check found",
        "What it cost",
        "How it was made",
        "How to use it",
    ]
    assert page.text.index(evidence.headline) < page.text.index("The score, beside")
    for said in ("SF102", "Decide which is right.", "9 min", "seed 5", "stablefit.load('DIR')", "learning rate"):
        assert said in page.text
    assert "script" not in page.tags


@pytest.mark.parametrize("make", [classes, numbers, several])
def test_little_evidence_makes_a_page_too(make):
    evidence = weigh(dataclasses.replace(make(n=3, repeats=1), baselines={}))
    page = Reader(render(evidence, About(title="t", file="f")))
    assert "Rows the seeds disagree on" not in page.headings
    assert "3 rows are few" in page.text
    assert "nan" not in page.text.lower().split()
    assert "inf" not in page.text.split()


@pytest.mark.parametrize("make", [classes, several])
def test_nothing_of_the_users_is_read_as_html(make):
    oof = make(skill=1.0)
    names = (EVIL, "</title><img src=x onerror=alert(1)>", "plain")
    oof = dataclasses.replace(
        oof,
        labels=names,
        texts=[f"{EVIL} {i}" for i in range(len(oof.texts))],
        ids=[f"{EVIL}:{i}" for i in range(len(oof.ids))],
        baselines={EVIL: next(iter(oof.baselines.values()))},
    )
    evil = About(
        title=EVIL,
        file=EVIL,
        model=EVIL,
        command=EVIL,
        columns=((EVIL, EVIL),),
        findings=(Finding(EVIL, EVIL, False, EVIL, (), EVIL),),
        settings=((EVIL, EVIL),),
        use=(Block(EVIL, EVIL),),
        found=(EVIL,),
    )
    page = Reader(render(weigh(oof), evil))
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert EVIL in page.text
    assert "49" not in re.findall(r"quoted\" (\S+)", page.text)


def test_the_page_asks_for_nothing_from_elsewhere():
    page = render(weigh(classes()), about())
    assert "http" not in page.replace('http-equiv="Content-Security-Policy"', "")
    assert "default-src 'none'" in page
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


def test_if_fine_tuning_does_not_win_that_comes_first():
    lost = weigh(classes(skill=1.0, frozen=3.0))
    page = Reader(render(lost, about()))
    assert lost.headline.startswith("Fine-tuning is worse")
    assert 'class="headline alarm"' in render(lost, about())
    assert page.text.index("Fine-tuning is worse") < page.text.index("new rows like these")
    assert 'class="headline"' in render(weigh(classes(skill=3.0, frozen=0.1, n=300)), about())


def test_many_classes_get_no_matrix():
    labels = tuple(f"intent {i}" for i in range(40))
    page = Reader(render(weigh(classes(n=400, labels=labels, skill=4.0)), about()))
    assert "Taken for each other most often" in page.text
    assert "The 30 with the lowest F1 of 40." in page.text


def test_every_label_keeps_its_own_threshold():
    oof = several(n=200)
    wide = dataclasses.replace(
        oof,
        labels=tuple(f"label {i:02d}" for i in range(33)),
        targets=np.tile(oof.targets, (1, 11)),
        outputs=np.tile(oof.outputs, (1, 1, 11)) ** np.repeat(np.linspace(1, 2, 11), 3),
        baselines={},
    )
    evidence = weigh(wide)
    page = render(evidence, about())
    worst = min(evidence.per_label, key=lambda line: line.f1)
    line = re.search(rf"<th scope=\"row\">{worst.name}</th>(.*?)</tr>", page, re.S)
    assert line is not None
    assert f"{worst.threshold:.2f}" in line[1]


def test_long_texts_are_cut_and_long_lists_said():
    oof = classes(n=300, skill=1.0)
    oof = dataclasses.replace(oof, texts=["word " * 500] * 300)
    page = Reader(render(weigh(oof), about()))
    assert "The 20 most disputed are shown." in page.text
    assert "word …" in page.text


def test_the_verdict_stands_before_the_numbers():
    """A table that is wider than the screen shows it all the same."""
    page = Reader(render(weigh(numbers(repeats=2)), about()))
    words = page.text[page.text.index("What fine-tuning adds") :]
    assert re.search(r"compared with\s+by R2\s+seeds above\s+R2\s+mean absolute error", words)
    assert re.search(r"mean\s+better\s+2 of 2\s+\+0\.", words)
    assert "Both seeds give the same answer on" in Reader(render(weigh(classes(repeats=2)), about())).text
    assert "All 3 seeds give the same answer on" in Reader(render(weigh(classes(repeats=3)), about())).text


def test_how_many_labels_are_in_doubt_is_said():
    evidence = weigh(classes(n=300, skill=1.0))
    listed, more = len(evidence.suspects), len(evidence.doubted) - len(evidence.suspects)
    assert listed > 0 < more
    text = Reader(render(evidence, about())).text
    assert f"{listed} of 300 rows. Models that never saw the row take another answer to be at least five times" in text
    assert f"The labels of {more} more rows are in doubt, but less." in text
    none = dataclasses.replace(evidence, suspects=(), doubted=())
    assert "None stands out." in Reader(render(none, about())).text


def test_a_diverged_repeat_is_said():
    oof = classes()
    oof.outputs[2, 0] = np.nan
    evidence = weigh(oof)
    page = Reader(render(evidence, about()))
    assert "1 of 5 repeats diverged (number 3)" in page.text
    assert "diverged" in summary(evidence)
    assert re.search(r"seed 3 diverged", page.text)


@pytest.mark.parametrize("make", [classes, numbers, several])
@pytest.mark.parametrize(("n", "repeats"), [(120, 5), (3, 1)])
def test_the_summary_fits_a_terminal(make, n, repeats):
    evidence = weigh(make(n=n, repeats=repeats), curve=CURVE)
    lines = summary(evidence).split("\n")
    assert len(lines) <= 25
    assert max(map(len, lines)) <= 80
    assert " ".join(lines).startswith(evidence.headline[:60])
    assert any("fine-tuned" in line for line in lines)


def test_long_names_do_not_widen_the_summary():
    oof = classes(n=60)
    oof = dataclasses.replace(
        oof, ids=["x" * 300 + str(i) for i in range(60)], baselines={"b" * 200: oof.outputs[0], "plain": oof.outputs[1]}
    )
    assert max(map(len, summary(weigh(oof)).split("\n"))) <= 80
