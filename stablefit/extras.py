"""The packages beyond jax, optax and numpy: which extra brings each, and the line that installs it."""

# Extra -> the modules of other packages that the sources import; pyproject.toml has their distributions and versions.
EXTRAS = {
    "train": (
        "absl", "flax", "huggingface_hub", "jinja2", "markupsafe", "ml_collections", "orbax", "regex", "safetensors",
        "scipy", "sklearn", "tokenizers", "tqdm", "transformers",
    ),
    "ray": ("ray",),
    "report": ("matplotlib",),
    "tables": ("openpyxl", "pandas", "pyarrow"),
    "tensorboard": ("tensorboardX",),
}  # fmt: skip


def remedy(error: ImportError) -> str | None:
    """What to install, in one line, if an import failed for want of a package of an extra; None for any other error.

    >>> remedy(ModuleNotFoundError("No module named 'flax'", name="flax"))
    "package flax is not installed: pip install 'stablefit[train]'"
    >>> remedy(ModuleNotFoundError("No module named 'flax.new'", name="flax.new"))
    """
    for extra, modules in EXTRAS.items():
        if error.name in modules:
            return f"package {error.name} is not installed: pip install 'stablefit[{extra}]'"
    return None
