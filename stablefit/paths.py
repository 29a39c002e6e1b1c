"""Names of leaves: the one language in which methods, configs and tables speak of parameters.

A leaf is named by its path with slashes, `encoder/layer_3/attention/query/kernel`. The same name stands for the leaf of
a linen dict, of a plain dict and of an `nnx.State`, whose boxes (and those of linen's partitioning) are left out.
A pattern is a regular expression that must match the whole name; one that matches nothing raises.
"""

import functools
import itertools
import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from stablefit.errors import InputError

Tree = Any  # a pytree of arrays
Key = jax.Array  # a typed JAX random key, shape ()

# The names of blocks: layer_0, layers/0, h.0, block0, encoder_layer_0, EncoderBlock_0, TransformerLayer_0, resblocks/0.
_BLOCK = re.compile(
    r"(?:^|[/.])((?:(?:[a-z0-9]+_)*[a-z]*(?:layers?|blocks?)[_/.]?|h[_/.]))(\d+)(?=[/.]|$)", re.IGNORECASE
)
# Five repeats of anything, or groups, one behind the other.
_MANY = re.compile(r"(?:(?:\.[*+][?+]?|\0[*+?]?)\.*){5}")
_NO_BLOCK = re.compile(r"embed|norm", re.IGNORECASE)
_EMBEDDINGS = re.compile(
    r"(?:^|[/.])(?:[^/.]*(?:embed|wte|wpe)[^/.]*(?=[/.]|$)|(?:cls|(?:cls|class|mask|dist)_token)$)", re.IGNORECASE
)
_HOLES = (optax.MaskedNode, type(None))
_BOXES = {"Variable", "VariableState", "AxisMetadata"}  # of nnx, and of linen's partitioning


class PatternError(InputError):
    """A pattern that matches no leaf, or that is no regular expression."""


def leaf_name(path: Sequence[Any]) -> str:
    """The name of a leaf, from its key path.

    >>> leaf_name((jax.tree_util.DictKey("head"), jax.tree_util.DictKey("kernel")))
    'head/kernel'
    """
    return jax.tree_util.keystr(tuple(path), simple=True, separator="/")


def map_named(fn: Callable[..., Any], tree: Tree, *rest: Tree) -> Tree:
    """`jax.tree.map` whose function also gets the leaf's name: `fn(name, leaf, *others)`.

    >>> map_named(lambda name, x: f"{name}={x}", {"a": {"b": 1}})
    {'a': {'b': 'a/b=1'}}
    """
    leaves, structure = jax.tree.flatten(tree)
    others = [structure.flatten_up_to(other) for other in rest]
    return structure.unflatten(map(fn, names(tree), leaves, *others))


def names(tree: Tree) -> list[str]:
    """The names of all leaves, in the order of `jax.tree.leaves`."""
    return [leaf_name(path) for path, _ in flat_paths(tree)]


def flat_paths(tree: Tree) -> list[tuple[tuple[Any, ...], Any]]:
    """The key path of each leaf, and the leaf; without the `value` of a box of Flax, which is no field of anybody's."""
    found: list[tuple[tuple[Any, ...], Any]] = []
    for path, node in jax.tree_util.tree_flatten_with_path(tree, is_leaf=lambda node: _is_box(type(node)))[0]:
        if _is_box(type(node)):
            inside = jax.tree_util.tree_flatten_with_path(node)[0]
            found += [((*path, *(inner[1:] if _is_value(inner) else inner)), leaf) for inner, leaf in inside]
        else:
            found.append((path, node))
    return found


def holes(tree: Tree, kind: type | tuple[type, ...] = _HOLES) -> list[str]:
    """The names of what a tree leaves out and says so: `optax.MaskedNode()`, or None as Equinox's filters have it."""

    def out(node: Any) -> bool:
        return isinstance(node, kind)

    found = jax.tree_util.tree_flatten_with_path(tree, is_leaf=out)[0]
    return [leaf_name(path) for path, node in found if out(node)]


def select(tree: Tree, patterns: Sequence[str]) -> Tree:
    """A tree of Python booleans: does any of the patterns match the leaf's whole name?

    Args:
        tree: any pytree.
        patterns: regular expressions; each must match (`re.fullmatch`) at least one leaf, or one that is masked.

    Raises:
        PatternError: a pattern matches nothing; the message names it and some leaves.

    >>> select({"head": {"kernel": 0, "bias": 0}}, [".*/kernel"])
    {'head': {'bias': False, 'kernel': True}}
    """
    known = names(tree)
    compiled = [_compile(pattern) for pattern in patterns]
    for pattern in compiled:
        if not any(pattern.fullmatch(name) for name in (*known, *holes(tree))):
            raise PatternError(
                f"pattern {pattern.pattern!r} matches no parameter; a pattern must match a whole name, "
                f"such as: {some(known)}"
            )
    return map_named(lambda name, _: any(pattern.fullmatch(name) for pattern in compiled), tree)


def key_for(key: Key, name: str) -> Key:
    """The random key of a named purpose or leaf: a function of `key` and `name` alone.

    Keys are folded from names, never split in a row, so adding a method or a leaf changes no other leaf's randomness.
    """
    return jax.random.fold_in(key, zlib.crc32(name.encode()))


def keys_for(key: Key, purposes: Sequence[str]) -> Key:
    """The keys of several names at once, shape (len(purposes),): each is the key `key_for` gives, bit for bit.

    One vectorised hash instead of hundreds: it is the number of random calls that makes a program slow to compile.
    """
    hashes = np.asarray([zlib.crc32(name.encode()) for name in purposes], np.uint32)
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, hashes)


def block_index(name: str) -> int | None:
    """The index of the block a leaf belongs to, None outside blocks; `layer_1` is not `layer_10`.

    >>> block_index("encoder/layer_10/output/bias"), block_index("blocks/3/kernel"), block_index("head/kernel")
    (10, 3, None)
    >>> block_index("Transformer/encoderblock_2/Dense_0/kernel"), block_index("encoder/LayerNorm_1/scale")
    (2, None)
    """
    found = _blocks_of(name, _BLOCK)
    return found[0][1] if found else None


def num_blocks(tree: Tree) -> int:
    """How many blocks the tree has: the largest block index and one; 0 without blocks.

    Raises:
        InputError: blocks of two stacks.
    """
    found = find_stack(tree)
    return found.size if found else 0


def depths(tree: Tree, stack: "Stack | None" = None) -> Tree:
    """The depth of every leaf: embeddings 0, block i at i + 1, everything else (pooler, head) on top at L + 1.

    Args:
        tree: any pytree of named leaves.
        stack: what `find_stack` found, here or in the tree that this one is a part of; None looks for it.

    Returns:
        A tree of integers; of arrays [L, 1, ...] where the blocks are an axis of the leaf.

    >>> depths({"embeddings": {"e": 0}, "layer_0": {"k": 0}, "layer_1": {"k": 0}, "head": {"k": 0}})
    {'embeddings': {'e': 0}, 'head': {'k': 3}, 'layer_0': {'k': 1}, 'layer_1': {'k': 2}}
    """
    stack = stack or find_stack(tree)
    top = (stack.size if stack else 0) + 1

    def depth(name: str, leaf: Any) -> Any:
        index = stack.block_of(name, leaf) if stack else None
        if index is not None:
            return index + 1
        if stack and not stack.is_near(name):
            return top
        return 0 if _EMBEDDINGS.search(name) else top

    return map_named(depth, tree)


class Stack(NamedTuple):
    """The blocks that depth is counted in."""

    prefix: str  # of the names of its blocks, `encoder/layer_`; with an axis, of their common parent, `encoder/layers`
    size: int  # how many blocks; 0 where they are masked, and an axis of their leaves
    axis: int | None = None  # the axis of depth where one leaf holds all blocks
    others: tuple[str, ...] = ()  # prefixes of the stacks that were not chosen

    def block_of(self, name: str, leaf: Any = None) -> Any:
        """The index of the leaf's block, None outside; with an axis the indices of all, [L, 1, ...] as the leaf is."""
        if self.axis is not None:
            if not self.holds(name) or np.ndim(leaf) == 0:
                return None
            shape = [1] * len(leaf.shape)
            shape[self.axis] = self.size
            return np.arange(self.size).reshape(shape)
        found = re.match(re.escape(self.prefix) + r"(\d+)(?=[/.]|$)", name)
        if found:
            return int(found.group(1))
        # Haiku leaves the number of the first one out: block, block_1, block_2.
        return 0 if self.prefix.endswith("_") and re.match(re.escape(self.prefix[:-1]) + r"(?=[/.]|$)", name) else None

    def holds(self, name: str) -> bool:
        """Is the leaf below the prefix, with depth as an axis?"""
        return self.axis is not None and name.startswith((self.prefix + "/", self.prefix + "."))

    def is_near(self, name: str) -> bool:
        """Is a leaf outside the blocks nearer to this stack than to another, as the embeddings of one of two towers?"""
        return all(_shared(name, self.prefix) >= _shared(name, other) for other in self.others)


def find_stack(
    tree: Tree, *, stack: str | None = None, block: str | None = None, axis: int | None = None
) -> Stack | None:
    r"""The blocks of a tree, by their names.

    Args:
        tree: any pytree of named leaves; `optax.MaskedNode()` and None count as leaves that are elsewhere.
        stack: which stack counts, if there are several: as the message names it (`text/layer_*`), or a parent of it
            (`text`). With `axis` the parent of the stacked leaves.
        block: a regular expression for the name of a block, with one group, the index: `r"EncoderBlock_(\d+)"`. None
            knows layer_0, layers/0, h/0, block0, encoder_layer_0, EncoderBlock_0, TransformerLayer_0, resblocks/0.
        axis: the axis of depth, where scan-over-layers keeps all blocks in one leaf.

    Returns:
        The stack; None if no name has the form of a block's.

    Raises:
        InputError: several stacks, and `stack` does not choose; leaves along `axis` that do not agree.
        PatternError: `stack` or `block` matches nothing.

    >>> find_stack({"text": {"layer_0": 0, "layer_1": 0}, "image": {"block_0": 0}}, stack="text").size
    2
    """
    if axis is not None:
        return _stacked(tree, stack, axis)
    known = [*names(tree), *holes(tree)]
    pattern = _BLOCK if block is None else _block_pattern(block)
    sizes: dict[str, int] = {}
    outer: dict[str, None] = {}
    for name in known:
        found = _blocks_of(name, pattern)
        for prefix, index in found:
            sizes[prefix] = max(sizes.get(prefix, 0), index + 1)
        outer |= {found[0][0]: None} if found else {}
    if block is not None and not sizes:
        raise PatternError(f"block={block!r} is in no name; names are such as: {some(known)}")
    chosen = _choose(tuple(outer), sizes, stack, known)
    if chosen is None:
        return None
    others = tuple(prefix for prefix in outer if prefix != chosen and not chosen.startswith(prefix))
    return Stack(chosen, sizes[chosen], None, others)


def some(known: Sequence[str]) -> str:
    """Four of the names, for a message."""
    return ", ".join(known[:: max(1, len(known) // 4)][:4])


def _choose(outer: Sequence[str], sizes: dict[str, int], stack: str | None, known: Sequence[str]) -> str | None:
    if stack is not None:
        wanted = stack.rstrip("*_/.")
        exact = [prefix for prefix in sizes if prefix.rstrip("_/.") == wanted]
        within = [prefix for prefix in outer if prefix.startswith((wanted + "/", wanted + "."))]
        if not exact and not within:
            there = f"there are {_titles(outer)}" if outer else f"names are such as: {some(known)}"
            raise PatternError(f"stack={stack!r} is the name of no blocks; {there}")
        outer = exact or within
    if len(outer) > 1:
        raise InputError(f"blocks of {len(outer)} stacks: {_titles(outer)}; stack= says which of them count")
    if not outer:
        return None
    if stack is None and sizes[outer[0]] == 1:
        _check_single(outer[0], sizes)
    return outer[0]


def _check_single(prefix: str, sizes: dict[str, int]) -> None:
    """One block alone may be the name of something that holds the blocks, or all of them along an axis."""
    if re.split("[/.]", prefix)[-1].startswith("Scan"):
        raise InputError(f"{prefix}0 holds all blocks along an axis; say stack={prefix + '0'!r}, axis=0")
    inner = [other for other, size in sizes.items() if other.startswith(prefix) and other != prefix and size > 1]
    if inner:
        raise InputError(f"blocks of stacks within each other: {_titles([prefix, *inner])}; stack= says which counts")


def _stacked(tree: Tree, stack: str | None, axis: int) -> Stack:
    if stack is None:
        raise InputError("axis= needs stack=, the name of what holds the stacked leaves, such as 'encoder/layers'")
    result = Stack(stack.rstrip("/."), 0, axis)
    sizes = {
        name: leaf.shape[axis]
        for (path, leaf), name in zip(flat_paths(tree), names(tree), strict=True)
        if result.holds(name) and -len(np.shape(leaf)) <= axis < len(np.shape(leaf))
    }
    if not sizes and any(result.holds(name) for name in holes(tree)):
        return result  # they are elsewhere: how many blocks there are cannot be known here
    if not sizes:
        raise PatternError(
            f"stack={stack!r} holds no leaves with an axis {axis}; names are such as: {some(names(tree))}"
        )
    if len(set(sizes.values())) > 1:
        (one, size), (other, another) = min(sizes.items(), key=_second), max(sizes.items(), key=_second)
        raise InputError(f"axis {axis} is no axis of depth: {one} has {size} along it, {other} has {another}")
    return result._replace(size=next(iter(sizes.values())))


def _second(pair: tuple[str, int]) -> int:
    return pair[1]


def _block_pattern(block: str) -> re.Pattern[str]:
    pattern = _compile(rf"(?:^|[/.])({block})(?=[/.]|$)")
    if pattern.groups != 2:
        raise PatternError(rf"block={block!r} needs one group, the index of the block, as in r'EncoderBlock_(\d+)'")
    return pattern


def _blocks_of(name: str, pattern: re.Pattern[str]) -> list[tuple[str, int]]:
    """The prefix and the index of each block that the name lies in, the outermost first."""
    found = []
    for match in pattern.finditer(name):
        if pattern is _BLOCK and _NO_BLOCK.search(match.group(1)):
            continue
        if not match.group(2).isdecimal():
            raise PatternError(
                f"the group of block= is {match.group(2)!r} in {name}; it must be the index of the block"
            )
        found.append((name[: match.start(2)], int(match.group(2))))
    return found


def _shared(name: str, prefix: str) -> int:
    """How many parts two names have in common at their beginnings."""
    pairs = zip(re.split("[/.]", name), re.split("[/.]", prefix), strict=False)
    return len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)))


def _titles(prefixes: Iterable[str]) -> str:
    return " and ".join(f"{prefix}*" for prefix in prefixes)


@functools.cache
def _is_box(kind: type) -> bool:
    return any(base.__name__ in _BOXES and base.__module__.partition(".")[0] == "flax" for base in kind.__mro__)


def _is_value(path: Sequence[Any]) -> bool:
    return bool(path) and path[0] == jax.tree_util.GetAttrKey("value")


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise PatternError(f"pattern {pattern!r} is not a regular expression: {error}") from None
    if _may_take_for_ever(pattern):
        raise PatternError(
            f"pattern {pattern!r} repeats a group that itself repeats or has alternatives, which may take for ever; "
            "repeat one of them only"
        )
    return compiled


def _may_take_for_ever(pattern: str) -> bool:
    """Whether a group that repeats, or has alternatives, is itself repeated without a limit, such as `(a+)+`, `(a|a)*`.

    Matching steps back through all ways to part a name between the two: twice as many for each letter more. What may
    be left out is an alternative, as in `(a?){40}`; so are five repeats of anything one behind the other, `.*.*.*.*.*`.
    """
    text = re.sub(r"\\(.)", lambda found: "." if found[1] in "wWsSdD" else "x", pattern)
    text = re.sub(r"\[[^\]]+\]", ".", text)  # what stands for many letters is a dot, what for itself any letter
    while group := re.search(r"\((?:\?(?:[:=!]|<[=!]|P<\w+>))?([^()]*)\)", text):
        branches = re.search(r"[*+{|?\0]", group[1]) is not None
        if _MANY.search(group[1]) or (branches and re.match(r"[*+]|\{\d*,\}|\{\d*,?\d{2,}\}", text[group.end() :])):
            return True
        text = text[: group.start()] + ("\0" if branches else "x") + text[group.end() :]
    return _MANY.search(text) is not None
