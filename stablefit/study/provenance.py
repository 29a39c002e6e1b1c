"""How a study was made: question, commands, versions, settings, the baseline's config."""

import math
import textwrap
from collections.abc import Sequence
from typing import Any

from stablefit.study import looks, reading
from stablefit.study.document import Block, Code, Folded, Heading, Named, Paragraph, Table
from stablefit.study.findings import Group, Setting
from stablefit.study.reading import Study
from stablefit.study.words import number

_LONGEST = 300  # characters of a question that stands at the top


def question(study: Study) -> str:
    """The first paragraph of the sweep's docstring, if it is short."""
    first = next((block for block in _docstring(study) if isinstance(block, Paragraph)), None)
    return first.text if first and len(first.text) <= _LONGEST else ""


def _docstring(study: Study) -> list[Block]:
    """Paragraphs, and indented lines as they are."""
    blocks: list[Block] = []
    for part in textwrap.dedent(study.question).strip("\n").split("\n\n"):
        lines = [reading.printable(line) for line in part.split("\n")]
        if all(line.startswith("    ") for line in lines):
            blocks.append(Code("\n".join(line[4:] for line in lines)))
        elif part.strip():
            blocks.append(Paragraph(" ".join(lines)))
    return blocks


def sections(study: Study, groups: Sequence[Group]) -> list[Block]:
    """Folded: how it was made, and the settings of each group."""
    facts = [("Started", study.started)] if study.started else []
    facts += _facts([row for cell in study.cells for row in cell.rows])
    facts += _looks(study)
    made = [*_docstring(study), *([Named(facts)] if facts else [])]
    made += [Code("\n".join(study.commands))] if study.commands else []
    blocks: list[Block] = [Folded("How it was made", made)] if made else []
    for group in groups:
        baseline = group.settings[0]
        header = ("setting", "config", "changes against the baseline", "seeds", "steps", "minutes a seed")
        rows = [(setting.name, *_made(setting, setting is baseline)) for setting in group.settings]
        title = f"Settings of {group.task.name}" if len(groups) > 1 else "Settings"
        fields = [(name, _value(value)) for name, value in sorted(baseline.cell.config.items())]
        config = f"The config of {baseline.name}"
        parts: list[Block] = [Table(title, header, rows, words=header[1:4]), Heading(4, config)]
        blocks.append(Folded(title, [*parts, Table(config, ("field", "value"), fields, words=("value",))]))
    return blocks


def _looks(study: Study) -> list[tuple[str, str]]:
    """When was looked, and at how many runs."""
    seen = looks.read(study.record.get("looks"))
    told = [f"{reading.printable(look.when)} at {sum(look.runs.values())} runs" for look in seen]
    return [("Looks", "; ".join(told))] if told else []


def _facts(rows: Sequence[Any]) -> list[tuple[str, str]]:
    """What rows say of how they were made, each value once."""
    if not rows:
        return []
    models = _distinct(row.get("model", "not recorded") for row in rows)
    devices = _distinct(row.get("device", "not recorded") for row in rows)
    versions = _distinct(
        ", ".join(f"{name} {version}" for name, version in row["versions"].items())
        for row in rows
        if isinstance(row.get("versions"), dict)
    )
    members = _distinct(row["layout"].get("members") for row in rows if isinstance(row.get("layout"), dict))
    total = sum(row["seconds"] for row in rows)
    return [
        ("Model", models),
        ("Device", devices),
        ("Versions", versions or "not recorded"),
        *([("Seeds in one program", members)] if members else []),
        ("Training", f"{len(rows)} runs, {_duration(total)} together, evaluations not counted"),
    ]


def _distinct(values: Any) -> str:
    return "; ".join(dict.fromkeys(reading.printable(str(value)) for value in values))


def _duration(seconds: float) -> str:
    if seconds < 5400:
        return f"{seconds / 60:.1f} minutes"
    return f"{seconds / 3600:.1f} hours"


def _made(setting: Setting, is_baseline: bool) -> tuple[str, ...]:
    rows = setting.cell.rows
    changes = ", ".join(
        f"{name}={_value(here)} (baseline {_value(there)})" for name, (here, there) in setting.changes.items()
    )
    mark = reading.printable(str(rows[0].get("fingerprint", "–"))) if rows else "–"
    ends = sorted({row["steps"] for row in rows})
    steps = "–" if not ends else str(ends[0]) if len(ends) == 1 else f"{ends[0]}–{ends[-1]}"
    minutes = number(sum(row["seconds"] for row in rows) / len(rows) / 60, 1) if rows else "–"
    return mark, "the baseline" if is_baseline else changes or "none", _ranges(setting), steps, minutes


def _ranges(setting: Setting) -> str:
    """The finished seeds, runs of them as `0–9`."""
    numbers = sorted(row["seed"] for row in setting.cell.rows)
    parts: list[list[int]] = []
    for seed in numbers:
        if parts and seed == parts[-1][-1] + 1:
            parts[-1].append(seed)
        else:
            parts.append([seed])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}–{part[-1]}" for part in parts) or "–"


def _value(value: Any) -> str:
    """A value of a config as a person would write it."""
    if isinstance(value, list):
        return ",".join(map(_value, value)) or "()"
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:g}"
    return reading.printable(str(value)) if value != "" else '""'
