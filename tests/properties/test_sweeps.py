"""Sweep files: programs of a person's own."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stablefit.errors import InputError
from stablefit.study import grid
from tests.fuzz import targets
from tests.properties.profile import ALL, ANY_BYTES, FEW, VALUES, text_of

ARGUMENTS = st.dictionaries(
    st.sampled_from(["config", "name", "control", "seeds", "dropout", "other"]), VALUES, max_size=4
)


@ALL
@given(ANY_BYTES)
@example(b"def sweep(add):\n    raise ValueError('a\\nb\\x1b[2J')\n")
@example(b"def sweep(add):\n    add(config='a', name='\\ud800')\n")
@example(b"sweep = 5\n")
@example(b"\0")
def test_any_bytes(content):
    targets.sweep(content)
    targets.sweep(b"def sweep(add):\n    " + content)


@ALL
@given(st.lists(ARGUMENTS, max_size=3))
def test_any_cells(cells):
    calls = "".join(f"    add(**{cell!r})\n" for cell in cells) or "    pass\n"
    head = "nan, inf = float('nan'), float('inf')\n\n\ndef sweep(add):\n"
    file = targets.written("of_mine.py", (head + calls).encode("utf-8", "surrogatepass"))
    found = targets.said(lambda: grid.expand(file), file)
    if found is not None:
        assert len(found) == len(cells) == len({cell.name for cell in found})


@ALL
@given(st.lists(st.text("ab é", min_size=1, max_size=5).filter(str.strip), min_size=1, max_size=6), st.booleans())
def test_cells_are_those_of_the_file_in_its_order(names, control):
    calls = "".join(
        f"    add(config='rte', name={name!r}, control={control}, dropout={i})\n" for i, name in enumerate(names)
    )
    file = targets.written("of_mine.py", f"def sweep(add):\n{calls}".encode())
    written = [" ".join(name.split()) for name in names]
    if len(set(written)) < len(written):
        with pytest.raises(InputError, match="two cells are called"):
            grid.expand(file)
        return
    cells = grid.expand(file)
    assert [(cell.name, cell.changes["dropout"]) for cell in cells] == list(
        zip(written, range(len(names)), strict=True)
    )
    assert all(cell.control == control and cell.config == "rte" for cell in cells)


def test_a_program_that_a_sweep_compiles_is_not_the_place():
    file = targets.written("of_mine.py", b"def sweep(add):\n    eval('1 +')\n")
    with pytest.raises(InputError, match=r"of_mine\.py:2: SyntaxError"):
        grid.expand(file)


RAISED = [
    "ValueError",
    "KeyError",
    "SystemExit",
    "OSError",
    "RecursionError",
    "MemoryError",
    "StopIteration",
    "AssertionError",
    "UnicodeError",
    "SyntaxError",
    "ModuleNotFoundError",
    "NotImplementedError",
]


@FEW
@given(st.sampled_from(RAISED), text_of(most=20), st.booleans())
def test_any_exception_is_a_line_with_its_place(kind, message, inside):
    line = f"raise {kind}({message!r})\n"
    text = f"def sweep(add):\n    {line}" if inside else f"def sweep(add):\n    pass\n{line}"
    file = targets.written("of_mine.py", text.encode())
    assert targets.said(lambda: grid.expand(file), f"{file}:{2 if inside else 3}: {kind}", f"None:None: {kind}") is None
