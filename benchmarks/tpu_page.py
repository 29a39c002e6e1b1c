"""docs/tpu.md's table of compiled programs, from benchmarks/results/tpu_compile.json.

python -m benchmarks.tpu_page

What `default_size` reckons with is reckoned anew, and written to the file.
"""

import json
from collections.abc import Mapping
from typing import Any

from benchmarks.tpu_compile import RESULTS, ROOT, cases
from benchmarks.tpu_programs import Case, reckoned
from stablefit.training.files import write_whole

PAGE = ROOT / "docs" / "tpu.md"
_BEGIN, _END = "<!-- from benchmarks/results/tpu_compile.json -->", "<!-- end -->"


def table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """The programs that were compiled as Markdown."""
    lines = [
        "| model | config | members x batch | slice | mesh | program | compile | HBM a chip | FLOP a chip |"
        " collectives | checks |",
        "|---|---|---|---|---|---|---:|---:|---:|---|---|",
    ]
    for row in rows.values():
        if "not_compiled" in row:
            continue
        dtype = ("" if row["dtype"] == "bfloat16" else f", {row['dtype']}") + _how(row)
        size = f"{row['members']} x {row['rows']} x {row['length']}"
        mesh = f"{row['mesh']['member']} x {row['mesh']['data']}"
        cells = [row["model"], row["config"] + dtype, size, row["topology"], mesh, row["program"]]
        cells += [
            f"{row['compile_s']:.0f} s, {row['cpu_s']:.0f} s",
            _hbm(row),
            _flop(row),
            _collectives(row),
            _checks(row),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _how(row: Mapping[str, Any]) -> str:
    return ", scan" * row["scan"] + ", remat" * row["remat"]


def _hbm(row: Mapping[str, Any]) -> str:
    return f"{row['needed'] / 2**30:.2f} of {row['memory'] / 2**30:.0f} GiB" if "needed" in row else "too little"


def _flop(row: Mapping[str, Any]) -> str:
    giga = (row.get("flop") or 0) / 1e9
    return (f"{giga:,.0f} G" if giga >= 100 else f"{giga:.3g} G") if giga else "-"


def _collectives(row: Mapping[str, Any]) -> str:
    found = row.get("collectives", {})
    return ", ".join(f"{one['count']} {kind}, {one['bytes'] / 1e6:.3g} MB" for kind, one in found.items()) or "none"


def _checks(row: Mapping[str, Any]) -> str:
    failed = [name for name, wrong in row["checks"].items() if wrong]
    return f"{', '.join(failed)} fails" if failed else "pass"


def estimates(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """What a member takes by the compiler beside what `default_size` reckons with."""
    lines = [
        "| model | config | members x batch | slice | compiler | `default_size` | ratio |",
        "|---|---|---|---|---:|---:|---:|",
    ]
    for row in rows.values():
        if not (both := row.get("member_bytes")):
            continue
        size = f"{row['members']} x {row['rows']} x {row['length']}"
        compiler, ours = both["compiler"], both["default_size"]
        figures = f"{compiler / 2**30:.2f} GiB | {ours / 2**30:.2f} GiB | {ours / compiler:.2f}"
        how = f"{row['config']} {row['dtype']}{_how(row)}"
        lines.append(f"| {row['model']} | {how} | {size} | {row['topology']} | {figures} |")
    return "\n".join(lines) if len(lines) > 2 else "No training program with members of their own chips was compiled."


def missing(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """The cases that have no figures, one a line with its programs, and why if they were tried."""
    lines: dict[str, list[str]] = {}
    for case in cases():
        row = rows.get(case.name)
        if row is None or "not_compiled" in row:
            reason = row["not_compiled"] if row else "not tried"
            lines.setdefault(f"- {case.name.rsplit(' ', 1)[0]}: {reason}", []).append(case.program)
    return "\n".join(f"{line} ({', '.join(programs)})" for line, programs in lines.items()) or "None."


def content(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """All that is made from the file."""
    n = sum("not_compiled" not in row for row in rows.values())
    return "\n\n".join(
        [
            f"{n} of {len(cases())} programs have been compiled.",
            table(rows),
            "What a member takes of a chip while it trains, its best parameters with it:",
            estimates(rows),
            "Not done:",
            missing(rows),
        ]
    )


def page(text: str, rows: Mapping[str, Mapping[str, Any]]) -> str:
    """The page with what is made from these rows."""
    before, rest = text.split(_BEGIN)
    return f"{before}{_BEGIN}\n\n{content(rows)}\n\n{_END}{rest.split(_END)[1]}"


def main() -> None:
    results = json.loads(RESULTS.read_text())
    for row in results["rows"].values():
        if both := row.get("member_bytes"):
            both["default_size"] = reckoned(Case(**{name: row[name] for name in Case._fields}))
    write_whole(RESULTS, json.dumps(results, indent=1) + "\n")
    PAGE.write_text(page(PAGE.read_text(), results["rows"]))


if __name__ == "__main__":
    main()
