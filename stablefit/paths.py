"""Names of leaves: the one language in which methods, configs and tables speak of parameters.

A leaf is named by its path with slashes, `encoder/layer_3/attention/query/kernel`. The same name stands for the leaf of
a linen dict, of a plain dict and of an `nnx.State` (whose paths end in an attribute `value`, which is left out).
A pattern is a regular expression that must match the whole name; one that matches nothing raises.
"""

import re
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from stablefit.errors import InputError

Tree = Any  # a pytree of arrays
Key = jax.Array  # a typed JAX random key, shape ()

_BLOCK = re.compile(r"(?:^|/)(?:layers?|blocks?|h)[_/](\d+)(?=/|$)")
_EMBEDDINGS = re.compile(r"(?:^|/)[^/]*(?:embed|wte|wpe)[^/]*(?=/|$)", re.IGNORECASE)


class PatternError(InputError):
    """A pattern that matches no leaf, or that is no regular expression."""


def leaf_name(path: Sequence[Any]) -> str:
    """The name of a leaf, from its key path.

    >>> leaf_name((jax.tree_util.DictKey("head"), jax.tree_util.DictKey("kernel")))
    'head/kernel'
    """
    if path and path[-1] == jax.tree_util.GetAttrKey("value"):
        path = path[:-1]
    return jax.tree_util.keystr(tuple(path), simple=True, separator="/")


def map_named(fn: Callable[..., Any], tree: Tree, *rest: Tree) -> Tree:
    """`jax.tree.map` whose function also gets the leaf's name: `fn(name, leaf, *others)`.

    >>> map_named(lambda name, x: f"{name}={x}", {"a": {"b": 1}})
    {'a': {'b': 'a/b=1'}}
    """
    return jax.tree_util.tree_map_with_path(lambda path, *leaves: fn(leaf_name(path), *leaves), tree, *rest)


def names(tree: Tree) -> list[str]:
    """The names of all leaves, in the order of `jax.tree.leaves`."""
    return [leaf_name(path) for path, _ in jax.tree_util.tree_flatten_with_path(tree)[0]]


def select(tree: Tree, patterns: Sequence[str]) -> Tree:
    """A tree of Python booleans: does any of the patterns match the leaf's whole name?

    Args:
        tree: any pytree.
        patterns: regular expressions; each must match (`re.fullmatch`) at least one leaf.

    Raises:
        PatternError: a pattern matches nothing; the message names it and some leaves.

    >>> select({"head": {"kernel": 0, "bias": 0}}, [".*/kernel"])
    {'head': {'bias': False, 'kernel': True}}
    """
    known = names(tree)
    compiled = [_compile(pattern) for pattern in patterns]
    for pattern in compiled:
        if not any(pattern.fullmatch(name) for name in known):
            some = ", ".join(known[:: max(1, len(known) // 4)][:4])
            raise PatternError(
                f"pattern {pattern.pattern!r} matches no parameter; a pattern must match a whole name, such as: {some}"
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
    """
    found = _BLOCK.search(name)
    return int(found.group(1)) if found else None


def num_blocks(tree: Tree) -> int:
    """How many blocks the tree has: the largest block index and one; 0 without blocks."""
    return max((index + 1 for name in names(tree) if (index := block_index(name)) is not None), default=0)


def depths(tree: Tree) -> Tree:
    """The depth of every leaf: embeddings 0, block i at i + 1, everything else (pooler, head) on top at L + 1.

    >>> depths({"embeddings": {"e": 0}, "layer_0": {"k": 0}, "layer_1": {"k": 0}, "head": {"k": 0}})
    {'embeddings': {'e': 0}, 'head': {'k': 3}, 'layer_0': {'k': 1}, 'layer_1': {'k': 2}}
    """
    top = num_blocks(tree) + 1

    def depth(name: str, _: Any) -> int:
        index = block_index(name)
        if index is not None:
            return index + 1
        return 0 if _EMBEDDINGS.search(name) else top

    return map_named(depth, tree)


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise PatternError(f"pattern {pattern!r} is not a regular expression: {error}") from None
