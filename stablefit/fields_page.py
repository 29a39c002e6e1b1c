"""The page of all fields: python -m stablefit.fields_page > docs/fields.md"""

from stablefit.fields import FIELDS


def page() -> str:
    """docs/fields.md: every field with its default, what it may be, and what it means."""
    lines = [
        "# The fields of a config",
        "",
        "Made from `stablefit/fields.py` by `python -m stablefit.fields_page > docs/fields.md`. A field is set by",
        "`--config.FIELD=VALUE`, or by a config file that starts from `stablefit.configs.base`. Every method is off by",
        "default. *Static* fields change the compiled program or the data; settings that differ only in *traced* ones",
        "share a program; *policy* changes neither. A field in *italics* is no part of what a run is.",
    ]
    part = ""
    for field in FIELDS.values():
        if field.part != part:
            part = field.part
            lines += ["", f"## {part}", "", "| field | default | may be | role | |", "|---|---|---|---|---|"]
        name = f"`{field.name}`" if field.names_run else f"*`{field.name}`*"
        default = '""' if field.default == "" else str(field.default)
        lines.append(f"| {name} | `{default}` | {field.allowed} | {field.role} | {field.said} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
