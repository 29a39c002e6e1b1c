"""What a compiled program's text says of it: collectives, products, trips to the host, donated buffers.

The text is that of `jax.stages.Compiled.as_text()`, after all of XLA's passes. One instruction is a line:

    %name = type opcode(%operand, ...), attribute=..., metadata={op_name="..."}

TPU's compiler writes a matrix product as `convolution`, CPU's as `dot`.
"""

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

COLLECTIVES = (
    "all-gather", "all-reduce", "all-to-all", "collective-broadcast", "collective-permute", "ragged-all-to-all",
    "reduce-scatter",
)  # fmt: skip
_HOST = ("infeed", "outfeed", "send", "recv")
_HOST_CALLS = ("callback", "MoveToHost", "MoveToDevice", "SendToHost", "RecvFromHost")  # in the name of a custom call
_HOST_MEMORY = "S(5)"  # memory space of the host, in a layout
_BYTES = {"pred": 1, "bf16": 2, **{f"{kind}{8 * n}": n for kind in "fsu" for n in (1, 2, 4, 8)}}

_LINE = re.compile(r"\s*(?:ROOT )?%?([\w.\-]+) = (.*?) ([a-z][a-z0-9\-]*)\((.*)")
_ARRAY = re.compile(rf"\b({'|'.join(_BYTES)})\[([0-9,]*)\]")
_OP_NAME = re.compile(r'op_name="([^"]*)"')
_TARGET = re.compile(r'custom_call_target="([^"]*)"')


class Instruction(NamedTuple):
    """A line of a computation."""

    name: str
    type: str
    opcode: str
    rest: str  # what follows the opening parenthesis
    operands: tuple[str, ...]  # their types, "" of one that the computation does not define

    @property
    def op_name(self) -> str:
        """Where it comes from, in the names of modules and transformations."""
        found = _OP_NAME.search(self.rest)
        return found[1] if found else ""


class Product(NamedTuple):
    """A matrix product."""

    inputs: tuple[str, ...]  # element types, such as "bf16"
    op_name: str


def instructions(text: str) -> Iterator[Instruction]:
    """Every instruction of every computation, those inside fusions among them."""
    types: dict[str, str] = {}
    for line in text.splitlines():
        if line.endswith("{") and not line.startswith(" "):
            types = {}  # names are unique in a computation alone
        if not (found := _LINE.match(line)):
            continue
        name, kind, opcode, rest = found.groups()
        operands = re.findall(r"%([\w.\-]+)", rest.split(")", 1)[0])
        yield Instruction(name, kind, opcode, rest, tuple(types.get(operand, "") for operand in operands))
        types[name] = kind


def array_bytes(kind: str) -> int:
    """How many bytes the arrays of a type have.

    >>> array_bytes("(f32[2,3]{1,0:T(8,128)}, bf16[4])"), array_bytes("f32[]")
    (32, 4)
    """
    sizes = (math.prod(map(int, filter(None, shape.split(",")))) * _BYTES[name] for name, shape in _ARRAY.findall(kind))
    return sum(sizes)


def sorts(text: str) -> list[int]:
    """The elements of each sort, the largest first.

    >>> sorts("%s = (s32[8,4]{1,0}, f32[8,4]{1,0}) sort(%a, %b), dimensions={1}")
    [32]
    """
    arrays = (_ARRAY.search(one.type) for one in instructions(text) if one.opcode == "sort")
    return sorted((math.prod(map(int, array[2].split(","))) for array in arrays if array), reverse=True)


def collectives(text: str) -> dict[str, dict[str, int]]:
    """How many there are of each kind, and the bytes of what they are given on one device; none: an empty mapping.

    A start and its end count once.
    """
    found: dict[str, dict[str, int]] = {}
    for one in instructions(text):
        kind = one.opcode.removesuffix("-start")
        if kind in COLLECTIVES:
            row = found.setdefault(kind, {"count": 0, "bytes": 0})
            row["count"] += 1
            row["bytes"] += sum(map(array_bytes, one.operands))
    return found


def products(text: str) -> list[Product]:
    """The matrix products with the element types of their inputs."""
    return [
        Product(tuple(kind.split("[")[0] for kind in one.operands), one.op_name)
        for one in instructions(text)
        if one.opcode in ("dot", "convolution")
    ]


def host_trips(text: str) -> list[str]:
    """What goes to the host and back while the program runs: callbacks, feeds, sends, arrays in the host's memory."""
    found = []
    for one in instructions(text):
        target = _TARGET.search(one.rest)
        if one.opcode.removesuffix("-done") in _HOST or (target and any(name in target[1] for name in _HOST_CALLS)):
            found.append(f"{one.opcode} {target[1] if target else one.name}")
        elif _HOST_MEMORY in one.type:
            found.append(f"{one.opcode} {one.name} in the host's memory")
    return found


def aliased(text: str) -> int:
    """How many outputs lie where an argument lay that was donated."""
    head = text.split("\n", 1)[0]
    begin = head.find("input_output_alias={")
    if begin < 0:
        return 0
    return len(re.findall(r"\{[0-9, ]*\}: \([0-9]+,", head[begin:]))
