"""docs/encoders.md's table of verified models, from benchmarks/results/parity.json.

python -m benchmarks.parity_page
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "parity.json"
PAGE = ROOT / "docs" / "encoders.md"
_BEGIN, _END = "<!-- from benchmarks/results/parity.json -->", "<!-- end -->"


def table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = [
        "| model | family | parameters | hidden | logits | gradient | bf16, ours / theirs |"
        " step, theirs / ours | compile |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, row in rows.items():
        figures = [f"{row[key]:.0e}" for key in ("hidden", "logits", "gradient")]
        figures += [f"{row['bf16']:.2f}", f"{row['torch_over_ours']:.2f}", f"{row['compile_s']:.0f} s"]
        lines.append(f"| {name} | {row['family']} | {row['parameters'] / 1e6:.1f} M | " + " | ".join(figures) + " |")
    return "\n".join(lines)


def page(text: str, rows: Mapping[str, Mapping[str, Any]]) -> str:
    """The page with the table of these rows."""
    before, rest = text.split(_BEGIN)
    return f"{before}{_BEGIN}\n\n{table(rows)}\n\n{_END}{rest.split(_END)[1]}"


def main() -> None:
    rows = json.loads(RESULTS.read_text())["rows"]
    PAGE.write_text(page(PAGE.read_text(), rows))


if __name__ == "__main__":
    main()
