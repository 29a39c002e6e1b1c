"""The pages of the methods, from their docstrings: an index, and a page for each with its picture.

`python -m experiments.method_pictures` writes them, docs/methods.md and docs/methods/.
"""

import inspect
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from stablefit import methods

# When each method acts.
TIMES = {
    "init": ("once, at the start", ("reinit",)),
    "forward": ("in each forward pass", ("mixout",)),
    "loss": ("when the loss is taken", ("r_drop", "sam")),
    "update": (
        "at each step of the optimizer",
        (
            "scale_by_adam", "adamw", "bert_adam", "clip_by_global_norm", "clip_by_component_norm", "add_weight_decay",
            "add_decay_to_init", "pull_to_init", "selective_projection_decay", "scale_by_layer_decay", "scale_by_path",
            "warmup_linear", "bert_schedule",
        ),
    ),
}  # fmt: skip
METHODS = {name: time for time, (_, names) in TIMES.items() for name in names}

# Functions that are no methods, on the page of the method they serve.
BESIDE = {
    "reinit": ("reinit_mask",),
    "r_drop": ("symmetric_kl", "symmetric_binary_kl"),
    "scale_by_adam": ("bias_correction_ratio",),
    "add_weight_decay": ("decay_mask",),
    "add_decay_to_init": ("anchor_weights",),
    "scale_by_layer_decay": ("layer_multipliers",),
    "scale_by_path": ("path_multipliers",),
}
COMBINING = ("as_gradient_transformation", "chain", "identity", "chain_losses", "same_loss")

INTRODUCTION = """\
# The methods

A page for each method: its equation, a picture of what it does, the trap, an example, the source. The pages are made
from the docstrings of `stablefit/methods`, and the pictures from the methods themselves, by
`python -m experiments.method_pictures`; the tests run the examples. All need jax and optax alone.

[`transforms.md`](transforms.md) says in which trees and in which wrappers of optax they have been tried,
[`upstream.md`](upstream.md) what optax has of its own, and README which field of a config is which method.
"""
PARTS = ("Args:", "Returns:", "Raises:", "Reference:", "Trap:", "Example")


class Shown(NamedTuple):
    """What a picture shows, in words."""

    alt: str  # what is plotted
    caption: str  # what is to be seen


def pages(shown: Mapping[str, Shown]) -> dict[str, str]:
    """Every page, by its place below docs/.

    Args:
        shown: by the name of the method.
    """
    found = {"methods.md": index(), "methods/combining.md": combining()}
    return found | {f"methods/{name}.md": method_page(name, shown[name]) for name in METHODS}


def index() -> str:
    """docs/methods.md: a line for each method, and one for each other function."""
    lines = [INTRODUCTION]
    for time, (when, names) in TIMES.items():
        lines += [f"## {time.capitalize()}: {when}", "", "| method | what it does |", "|---|---|"]
        lines += [f"| [`{name}`]({_place(name)}) | {_cell(name)} |" for name in names] + [""]
    lines += ["## Beside them", "", "| function | what it does |", "|---|---|"]
    lines += [f"| [`{name}`]({_place(name)}) | {_cell(name)} |" for name in _others()]
    return "\n".join(lines) + "\n"


def method_page(name: str, shown: Shown) -> str:
    """docs/methods/NAME.md."""
    function = functions()[name]
    when, _ = TIMES[METHODS[name]]
    lines = [f"# {name}", "", _linked(summary(name), name), ""]
    lines += [f"{METHODS[name].capitalize()}: {when}. [All methods](../methods.md)", ""]
    lines += ["```python", signature(name, function), "```", "", f"![{shown.alt}]({name}.svg)", ""]
    lines += [*textwrap.wrap(shown.caption, 120), ""]
    lines += [*text((inspect.getdoc(function) or "").partition("\n\n")[2], name), ""]
    for other in BESIDE.get(name, ()):
        lines += section(other)
    file = function.__module__.replace(".", "/") + ".py"
    return "\n".join(lines) + f"\nThe code: [`{file}`](../../{file})\n"


def combining() -> str:
    """docs/methods/combining.md: what puts transforms together."""
    lines = ["# Putting transforms together", "", "[All methods](../methods.md)", ""]
    for name in COMBINING:
        lines += section(name)
    return "\n".join(lines).rstrip("\n") + "\n"


def section(name: str) -> list[str]:
    """A function that is no method, below its own heading."""
    function = functions()[name]
    about = text(inspect.getdoc(function) or "", name)
    return [f"## {name}", "", "```python", signature(name, function), "```", "", *about, ""]


def functions() -> dict[str, Callable[..., Any]]:
    """The public functions."""
    return {name: value for name, value in vars(methods).items() if inspect.isfunction(value) and name[0] != "_"}


def summary(name: str) -> str:
    """The first line of a docstring."""
    return (inspect.getdoc(functions()[name]) or "").partition("\n")[0]


def _cell(name: str) -> str:
    return summary(name).replace("|", "\\|")


def _others() -> list[str]:
    return [*(name for names in BESIDE.values() for name in names), *COMBINING]


def _place(name: str) -> str:
    """Where a function is described, from docs/."""
    if name in METHODS:
        return f"methods/{name}.md"
    page = next((method for method, names in BESIDE.items() if name in names), "combining")
    return f"methods/{page}.md#{name}"


def signature(name: str, function: Callable[..., Any]) -> str:
    """The call with its defaults, without types: the docstring says what is taken."""
    parameters, keyword_only = [], False
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not keyword_only:
            parameters.append("*")
            keyword_only = True
        prefix = "*" if parameter.kind is parameter.VAR_POSITIONAL else ""
        default = "" if parameter.default is parameter.empty else f"={_shown(parameter.default)}"
        parameters.append(f"{prefix}{parameter.name}{default}")
    return f"{name}({', '.join(parameters)})"


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    return value.__name__ if inspect.isfunction(value) else repr(value)


def text(docstring: str, own: str) -> Iterator[str]:
    """The lines of a docstring as Markdown: examples in a fence, arguments as a list, equations as they are.

    Args:
        docstring: dedented.
        own: the function's name, which is not made a link.
    """
    part, fenced = "", False
    for line in docstring.splitlines():
        if line.startswith(">>>") and not fenced:
            yield "```python"
            fenced = True
        elif fenced and not line:
            yield "```"
            fenced = False
        head = next((head for head in PARTS if line.startswith(head)), "")
        if fenced:
            yield line
        elif head:
            part = head
            rest = line.removeprefix(head)
            yield f"**{head if rest else head.rstrip(':')}**{_linked(rest, own)}" if head.endswith(":") else line
            yield from () if rest else ("",)
        elif part in ("Args:", "Returns:", "Raises:") and line.startswith("    "):
            yield _linked(line.strip() if part == "Returns:" else _entry(line), own)
        else:
            part = part if line.startswith(" ") or not line else ""
            yield line if line.startswith("    ") else _linked(line, own)
    if fenced:
        yield "```"


def _entry(line: str) -> str:
    """A line of a list of arguments: an item, or the next line of one."""
    if line.startswith("     "):
        return "  " + line.strip()
    return re.sub(r"^([\w*, ]+):", r"- `\1`:", line.strip())


def _linked(line: str, own: str) -> str:
    """The line with a link where another public function is named."""

    def link(found: re.Match[str]) -> str:
        name = found[1]
        known = name != own and name in functions()
        return f"[`{name}`]({_from_page(name)})" if known else found[0]

    return re.sub(r"`(\w+)`", link, line)


def _from_page(name: str) -> str:
    return _place(name).removeprefix("methods/")
