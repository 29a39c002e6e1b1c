"""Of a study with factors: where the spread of the scores comes from, and what holds on other training sets."""

import math
from collections.abc import Sequence

from stablefit import factors
from stablefit.factors import Factor
from stablefit.study import forest, overview, readable, variance
from stablefit.study.comparison import Comparison
from stablefit.study.document import Block, Heading, Paragraph, Table
from stablefit.study.findings import Group, Setting
from stablefit.study.variance import CONFIDENCE, Component
from stablefit.study.verdicts import ALPHA
from stablefit.study.words import between, listed, number, quoted, sentence, signed


def sections(group: Group, level: int) -> list[Block]:
    """Both parts; empty without factors."""
    return [*_elsewhere(group, level), *_spread(group, level)]


def designed(group: Group) -> str:
    """What varied between the runs of every setting, in words; empty without factors."""
    designs = {setting.cell.design for setting in group.settings}
    if designs == {()} or len(designs) > 1:
        return ""
    return " × ".join(f"{factor.levels} {_plural(factor)}" for factor in designs.pop())


def _plural(factor: Factor) -> str:
    simple = {"training draw": "training draws", "seed": "seeds"}
    return simple.get(factor.title, f"levels of {factor.title}")


def _elsewhere(group: Group, level: int) -> list[Block]:
    """The verdicts on these training sets beside those on others like them."""
    pairs = [(setting, c) for setting in forest.ordered(group) if (c := setting.judged.elsewhere) is not None]
    if not pairs:
        return []
    n = factors.n_subsets(group.settings[0].cell.design)
    header = ("setting", f"on these {n}", "difference", "on others", "difference there")
    rows = [
        (
            setting.name,
            overview.outcome(setting),
            overview.difference(setting.comparison),
            c.verdict,
            overview.difference(c),
        )
        for setting, c in pairs
    ]
    table = Table(
        f"Verdicts on these training sets of {readable.data_set(group.task)}, and on others like them",
        header,
        rows,
        words=(header[1], header[3]),
        spare=header[1:3],
        fits=True,
    )
    note = (
        f"On these {n}: of runs, labels exchanged within a draw and seed; it says nothing of other examples. "
        "On others: each training set is one observation, the mean over its runs; that holds for other sets of this "
        f"size, drawn likewise. Both at {ALPHA} for all settings together, intervals of {100 * (1 - ALPHA):.0f} %."
    )
    return [
        Heading(level, "On other training sets"),
        Paragraph(sentence(_told(group, pairs)), "text"),
        table,
        Paragraph(note, "note"),
    ]


def _told(group: Group, pairs: Sequence[tuple[Setting, Comparison]]) -> str:
    base = quoted(group.settings[0].name)
    held, lost, undecided = [], [], []
    for setting, c in pairs:
        here = setting.judged.outcome
        if c.verdict == "cannot decide":
            undecided.append(quoted(setting.name))
        elif c.verdict in ("better", "worse"):
            told = f"{signed(c.difference)}, {between(c.interval)}"
            held.append(f"{quoted(setting.name)} is {c.verdict} than {base} ({told})")
        elif here in ("better", "worse"):
            lost.append(f"that {quoted(setting.name)} is {here}")
    said = [f"on training sets like these {listed(held)}"] if held else []
    said += [f"{listed(lost)} was found on these training sets, and not for others like them"] if lost else []
    said += [f"of {listed(undecided)} nothing can be decided for others with so few training sets"] if undecided else []
    if not said:
        return "No setting was found to differ on training sets like these."
    return f"{'; '.join(said)}."


def _spread(group: Group, level: int) -> list[Block]:
    """The components of variance of each setting."""
    settings = [setting for setting in group.settings if setting.judged.split is not None]
    if not settings:
        return []
    header = ("setting", "source", f"SD ({100 * CONFIDENCE:.0f}\u00a0%)", "share")
    rows = []
    for setting in settings:
        assert setting.judged.split is not None
        parts = [(part.name, _sd(part), _share(part)) for part in setting.judged.split.components]
        whole = overview.with_interval(number(setting.judged.split.sd), setting.judged.split.interval)
        rows += [(setting.name, *row) for row in (*parts, ("all together", whole, ""))]
    table = Table(
        f"Where the spread on {readable.data_set(group.task)} comes from",
        header,
        rows,
        words=("source",),
        spare=("share",),
        fits=True,
    )
    design = settings[0].cell.design
    repeated = len(settings[0].cell.rows) > factors.combinations(design)
    note = (
        "SD: of the score when this source alone is drawn anew; all together: of a run with everything new. Share: of "
        "the variance. The rest: "
        f"{variance.rest(design, repeated)}. Estimated from mean squares, with generalised intervals; few levels give "
        "wide ones. Failed runs are among the runs."
    )
    title = Heading(level, "Where the spread comes from")
    return [title, Paragraph(_largest(settings), "text"), table, Paragraph(note, "note")]


def _largest(settings: Sequence[Setting]) -> str:
    """The largest source of the first setting, in a sentence."""
    split = settings[0].judged.split
    assert split is not None
    largest = max(split.components, key=lambda part: part.sd)
    if math.isnan(largest.share):
        return f"The runs of {quoted(settings[0].name)} do not differ."
    name = largest.name if largest.name.startswith("the ") else f"the {largest.name}"
    share = f"{100 * largest.share:.0f}\u00a0% ({_percent(largest)})"
    return sentence(f"of the variance of {quoted(settings[0].name)} {share} comes from {name}.")


def _sd(part: Component) -> str:
    return overview.with_interval(number(part.sd), part.interval)


def _share(part: Component) -> str:
    if math.isnan(part.share):
        return "–"
    return f"{100 * part.share:.0f}\u00a0% " + f"({_percent(part)})".replace(" ", "\u00a0")


def _percent(part: Component) -> str:
    low, high = part.share_interval
    return f"{100 * low:.0f} to {100 * high:.0f}"
