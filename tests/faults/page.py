"""benchmarks/results/faults.json -> docs/faults.md: what is promised, how often it was tried, how often it held.

python -m tests.faults.page > docs/faults.md
"""

import itertools
import json
from pathlib import Path

from tests.faults.trials import Row

ROOT = Path(__file__).parent.parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "faults.json"
BEFORE = RESULTS.with_name("faults_before.json")  # of `make faults` on the commit that it names
HEAD = """\
# Faults

What is promised when a machine fails or a person errs, how often that was tried, and how often it held.
`make faults-full` makes the table, `make faults` a small form of it; the page is of `python -m tests.faults.page`.

A fault is set by an audit hook of Python: it sees every file that a command opens for writing, renames or removes,
and acts before that is done. The commands are two seeds one by one, a cohort, seeds that are compared on the way, a
tagger in folds, a grid and, in the whole form, a fit, on a tiny model. A trial is clean if the command ended as it is
promised, never with a traceback, and the same command, given again, left the same bits as one that was never
disturbed: rows, logs, parameters and predictions. What `make faults` has tried and `make faults-full` not yet is
marked: small form. The last column is the small form on a commit from before these faults were looked for.
"""


def page() -> str:
    """The page."""
    rows, before = json.loads(RESULTS.read_text())["rows"], json.loads(BEFORE.read_text())
    once = {row["kind"]: f"{row['clean']} of {row['tried']}" for row in before["rows"]}
    total = [sum(row[what] for row in rows) for what in ("tried", "clean")]
    first = [sum(row[what] for row in before["rows"]) for what in ("clean", "tried")]
    lines = [HEAD, f"| fault | tried | clean | clean at {before['commit']} |", "|---|---|---|---|"]
    for row in rows:
        cells = (f"{row['tried']:,}", f"{row['clean']:,}", once.get(row["kind"], ""))
        lines += [f"| [{row['fault']}](#{row['kind']}){_form(row)} | {' | '.join(cells)} |"]
    lines += [f"| all | {total[0]:,} | {total[1]:,} | {first[0]} of {first[1]} |"]
    for kind, own in itertools.groupby(rows, lambda row: row["kind"]):
        lines += ["", f"## {kind}", ""]
        for row in own:
            first = f"{row['fault'][0].upper()}{row['fault'][1:]}"
            lines += [f"{first}: {row['promise']}. Tried {row['tried']:,} times, clean {row['clean']:,}.", ""]
            lines += [*(f"- Not clean: {_short(wrong)}" for wrong in row["wrong"]), ""] if row["wrong"] else []
        lines.pop()
    return "\n".join(lines) + "\n"


def _form(row: Row) -> str:
    return "" if row["full"] else " (small form)"


def _short(wrong: str) -> str:
    said = " ".join(wrong.split())
    return said if len(said) < 300 else f"{said[:300]} ..."


if __name__ == "__main__":
    print(page(), end="")
