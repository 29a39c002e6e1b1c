"""What a study says in forms to paste: a table in LaTeX, a paragraph for a paper's text, a CSV file."""

import csv
import io
import math
from collections.abc import Sequence

from stablefit.study import forest, origins, overview, readable
from stablefit.study.comparison import POWER, Comparison
from stablefit.study.findings import Group, Setting
from stablefit.study.looks import FIRST_SHARE
from stablefit.study.verdicts import ALPHA
from stablefit.study.words import between, listed, number, p_value, quoted, sentence, signed

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "^": r"\textasciicircum{}",
    "_": r"\_", "%": r"\%", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "[": "{[}", "]": "{]}", "*": "{*}", "−": "$-$", "–": "--", "\u00a0": "~", "²": "$^2$",
    "“": "``", "”": "''", "×": r"$\times$",
}  # fmt: skip


def latex_text(text: str) -> str:
    r"""The text with every sign escaped that LaTeX would read as one, also behind the `\\` of a line.

    Examples:
        >>> print(latex_text("50% of $x_1$ [a] & b^2"))
        50\% of \$x\_1\$ {[}a{]} \& b\textasciicircum{}2
    """
    return "".join(_SPECIAL.get(letter, letter) for letter in text)


def latex_table(group: Group) -> str:
    """The verdicts of a group as a table of the package booktabs, as wide as the text of `article` at most."""
    base, compared = group.settings[0], forest.ordered(group)
    metric, data = readable.metric(group.task), readable.data_set(group.task)
    numbers = sorted({s.summary.n for s in (base, *compared) if s.summary})
    runs = f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
    caption = (
        f"Test {metric} on {data}: mean and SD over {runs} runs, difference from {base.name} with simultaneous "
        f"{100 * (1 - ALPHA):.0f} % intervals, and verdict of a step-down max-t permutation test at {ALPHA} "
        "(–: no difference found)."
    )
    lines = [r"\begin{table}", r"  \centering", rf"  \caption{{{latex_text(caption)}}}"]
    lines += [
        r"  \footnotesize",
        r"  \setlength{\tabcolsep}{3pt}",
        r"  \begin{tabular}{@{}p{0.25\linewidth}rrrll@{}}",
        r"    \toprule",
        r"    Setting & Mean & SD & Failed & Difference & Verdict \\",
    ]
    lines += [r"    \midrule", *(f"    {_latex_row(setting)}" for setting in (base, *compared)), r"    \bottomrule"]
    return "\n".join([*lines, r"  \end{tabular}", r"\end{table}"])


def _latex_row(setting: Setting) -> str:
    s, c = setting.summary, setting.comparison
    assert s is not None
    difference = ""
    if c is not None:
        bounds = "" if math.isnan(c.interval.low) else f" ({between(c.interval)})"
        difference = f"{signed(c.difference)}{bounds}"
    cells = (setting.name, number(s.mean), number(s.sd), f"{s.n_failed}/{s.n}", difference, _short(setting.judged.said))
    return " & ".join(map(latex_text, cells)) + r" \\"


def _short(said: str) -> str:
    return {"no difference found": "–", "cannot decide": "undecided"}.get(said, said)


def paragraph(group: Group) -> str:
    """What was compared, what was found, and how it was tested, for a paper's text."""
    base, compared = group.settings[0], forest.ordered(group)
    pairs = [(setting, setting.comparison) for setting in compared if setting.comparison]
    decided = [(setting, c) for setting, c in pairs if c.verdict != "cannot decide"]
    metric, data = readable.metric(group.task), readable.data_set(group.task)
    s = base.summary
    assert s is not None
    several = f"{len(pairs)} setting{'s' if len(pairs) > 1 else ''}"
    said = [
        f"On {data} we compared {several} with {quoted(base.name)} (test {metric} {number(s.mean)}, SD {number(s.sd)})."
    ]
    for word, did in (("better", "scored higher"), ("worse", "scored lower")):
        found = [f"{quoted(setting.name)} ({_told(c)})" for setting, c in decided if c.verdict == word]
        if found:
            said.append(sentence(f"{listed(found)} {did}."))
    same = [c for _, c in decided if c.verdict == "no difference found"]
    if same:
        who = "any setting" if len(same) == len(decided) else f"{len(same)} other setting{'s' if len(same) > 1 else ''}"
        reach = sorted(c.detectable for c in same)
        ends = number(reach[0]) if len(reach) == 1 else f"{number(reach[0])} to {number(reach[-1])}"
        said.append(f"No difference was found for {who}; one of {ends} would have been found with probability {POWER}.")
    if len(decided) < len(pairs):
        said.append(f"With so few runs {len(pairs) - len(decided)} could not be decided.")
    return " ".join([*said, *_method(group, [c for _, c in decided])])


def _told(c: Comparison) -> str:
    return f"{signed(c.difference)}, {100 * (1 - ALPHA):.0f} % interval {between(c.interval)}, {p_value(c.p_value)}"


def _method(group: Group, decided: Sequence[Comparison]) -> list[str]:
    units = group.settings[0].judged.unit
    numbers = sorted({n for c in decided for n in (c.n, c.n_baseline)})
    if not numbers:
        return []
    runs = f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
    varied = origins.designed(group)
    what = "folds, of each the mean" if units == "folds" else f"runs with different {units}"
    what = f"runs ({varied})" if varied else what
    exchanged = f"within {units}" if decided[0].paired else "among all runs"
    looks = max(c.looks for c in decided)
    times = "was one" if looks == 1 else f"were {looks}"
    level = (
        f"The familywise level was {ALPHA} over all settings and looks at the data, of which there {times} "
        f"(alpha spending, Lan and DeMets, 1983; {FIRST_SHARE:.0%} of it "
        "at the first look)."
    ).replace("%", " %")
    failed = sum(s.summary.n_failed for s in (group.settings[0], *forest.ordered(group)) if s.summary)
    return [
        f"Each setting has {runs} {what}. Differences of means were tested with a studentised step-down max-t "
        f"permutation test (Westfall and Young, 1993), labels exchanged {exchanged}; intervals are simultaneous.",
        level,
        *([f"The {failed} failed run{' is' if failed == 1 else 's are'} included."] if failed else []),
    ]


def latex(groups: Sequence[Group]) -> str:
    """Table and paragraph of every group with a comparison, as a file to include."""
    parts = [f"{latex_table(group)}\n\n{latex_text(paragraph(group))}\n" for group in groups if forest.ordered(group)]
    return "% needs \\usepackage{booktabs}\n" + "\n".join(parts)


_COLUMNS = (
    "data_set", "metric", "setting", "verdict", "n", "failed", "mean", "sd", "median", "difference", "low", "high", "p",
    "detectable", "p_better", "sd_ratio", "p_spread", "p_failed", "looks", "worse_than", "share_worse",
)  # fmt: skip


def table(groups: Sequence[Group], worse_than: float | None) -> str:
    """Every setting in a line of CSV; the first of a data set is its baseline."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for group in groups:
        limit = overview.threshold(group, worse_than)
        writer.writerows(_csv_row(group, setting, limit) for setting in group.settings)
    return out.getvalue()


def _csv_row(group: Group, setting: Setting, limit: float) -> list[str]:
    s, c = setting.summary, setting.comparison
    row = [group.task.name, group.metric, setting.name, overview.outcome(setting)]
    row += ["0", "", "", "", ""] if s is None else [str(s.n), str(s.n_failed), *map(_exact, (s.mean, s.sd, s.median))]
    if c is None:
        row += [""] * 10
    else:
        row += map(_exact, (c.difference, *c.interval, c.p_value, c.detectable, c.improvement, c.spread_ratio))
        row += [_exact(c.p_spread), _exact(c.p_failed), str(c.looks)]
    share = math.nan if s is None or math.isnan(limit) else overview.below(setting, limit)[0]
    return [*row, _exact(limit), _exact(share)]


def _exact(value: float) -> str:
    """Six digits; nothing for no number."""
    return "" if math.isnan(value) else f"{value:.6g}"
