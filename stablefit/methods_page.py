"""The page of all methods, from their docstrings: python -m stablefit.methods_page > docs/methods.md"""

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

from stablefit import methods

INTRODUCTION = """\
# The methods

Made from the docstrings of `stablefit/methods` by `python -m stablefit.methods_page > docs/methods.md`; the examples in
them are run by the tests. They need jax and optax. Which trees and which wrappers they have been tried in is in
[`transforms.md`](transforms.md); which field of a config is which method, in README.
"""

# What each does, in one line of characters: over depth, over time, or to a weight w that started at u.
PICTURES = {
    "scale_by_adam": "first steps, without / with correction:   |||||||  3.2 .. 6.6 .. 1   /   |  1 .. 1 .. 1",
    "mixout": "w w w w w w   ->   w u w w u w      each step others; those that stay go further from u by 1 / (1 - p)",
    "reinit": "embeddings | 0 1 2 3 ... L-2 | L-1 pooler | head      layers=1: block L-1 and the pooler start anew",
    "scale_by_layer_decay": "embeddings d^(L+1) | d^L ... d^3 d^2 d^1 | pooler 1, head 1",
    "scale_by_path": "head x 100 | everything else x 1",
    "add_weight_decay": "w --->           0          each step a part of the way to 0, of the size lr rate",
    "add_decay_to_init": "w --->           u          each step a part of the way to u, of the size lr rate",
    "pull_to_init": "w --->           u          each step a part of the way to u, whatever lr is",
    "selective_projection_decay": "u <--- w         where the gradient points back to u and the step would lead away",
    "clip_by_global_norm": "|g| = 5  ->  max_norm, all tensors by one factor",
    "clip_by_component_norm": "|g_1| = 5, |g_2| = 0.1  ->  max_norm, 0.1",
    "warmup_linear": "rate  0 / peak at w \\ 0 at T        a triangle",
    "bert_schedule": "rate  0 / peak at w, falls to peak (1 - w / T) at once \\ 0 at T",
    "r_drop": "x -> z_1, x -> z_2 by other noise;  loss + alpha D(z_1, z_2)",
    "sam": "w -> w + rho g / |g|, and the gradient from there",
}
PARTS = ("Args:", "Returns:", "Raises:", "Reference:", "Example")


def page() -> str:
    """docs/methods.md: every public function with its picture, its signature and its docstring."""
    lines = [INTRODUCTION]
    for name, function in functions():
        lines += [f"## {name}", ""]
        if name in PICTURES:
            lines += ["```", PICTURES[name], "```", ""]
        lines += ["```python", signature(name, function), "```", "", *text(inspect.getdoc(function) or ""), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def functions() -> list[tuple[str, Callable[..., Any]]]:
    """The public functions, by the file they are in."""
    found = [(name, value) for name, value in vars(methods).items() if inspect.isfunction(value) and name[0] != "_"]
    return sorted(found, key=_file_of)


def _file_of(pair: tuple[str, Callable[..., Any]]) -> str:
    return pair[1].__module__


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


def text(docstring: str) -> Iterator[str]:
    """The lines of a docstring as Markdown: examples in a fence, arguments as a list, equations as they are."""
    part, fenced = "", False
    for line in docstring.splitlines():
        if line.startswith(">>>") and not fenced:
            yield "```python"
            fenced = True
        elif fenced and not line:
            yield "```"
            fenced = False
        head = next((head for head in PARTS if line.startswith(head)), "")
        if head:
            part = head
            rest = line.removeprefix(head)
            yield f"**{head.rstrip(':')}**{rest}" if head.endswith(":") else line
            yield from () if rest else ("",)
        elif part in ("Args:", "Returns:", "Raises:") and line.startswith("    ") and not fenced:
            yield _entry(line)
        else:
            part = part if line.startswith(" ") or not line else ""
            yield line
    if fenced:
        yield "```"


def _entry(line: str) -> str:
    """A line of a list of arguments: an item, or the next line of one."""
    if line.startswith("     "):
        return "  " + line.strip()
    return re.sub(r"^([\w*, ]+):", r"- `\1`:", line.strip())


if __name__ == "__main__":
    print(page(), end="")
