"""Which programs of a person's own a fuzzer may run."""

import ast
import warnings

_HARMLESS = (
    ast.Module,
    ast.FunctionDef,
    ast.arguments,
    ast.arg,
    ast.Expr,
    ast.Call,
    ast.keyword,
    ast.Name,
    ast.Load,
    ast.Store,
    ast.Constant,
    ast.Tuple,
    ast.List,
    ast.Dict,
    ast.Assign,
    ast.Pass,
    ast.Return,
    ast.UnaryOp,
    ast.USub,
    ast.UAdd,
    ast.Raise,
    ast.Starred,
    ast.For,
    ast.Attribute,
    ast.If,
    ast.Compare,
    ast.Eq,
    ast.Subscript,
    ast.Slice,
)
_CALLED = {"add", "str", "len", "ValueError", "KeyError", "print_"}


def is_harmless(source: str | bytes) -> bool:
    """Whether a program may be run: it is no program, or calls nothing but `add` and a few others, and ends."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return True
    for node in ast.walk(tree):
        if not isinstance(node, _HARMLESS):
            return False
        if isinstance(node, ast.Call) and not (isinstance(node.func, ast.Name) and node.func.id in _CALLED):
            return False
        if isinstance(node, ast.For) and not isinstance(node.iter, ast.Tuple | ast.List | ast.Constant):
            return False
        if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            return False
    return True
