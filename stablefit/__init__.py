"""Stable few-sample fine-tuning of pre-trained encoders in JAX, over many seeds.

Nothing is imported before it is asked for: `import stablefit` costs nothing, `stablefit.load` brings in JAX. The base
install is jax, optax and numpy, and has `stablefit.methods` alone; the rest is `pip install 'stablefit[train]'`.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # so that a type checker knows what __getattr__ brings
    from stablefit import methods as methods
    from stablefit.estimators import Tagger as Tagger
    from stablefit.estimators import TextClassifier as TextClassifier
    from stablefit.estimators import TextRegressor as TextRegressor
    from stablefit.models.pretrained import load_pretrained as load_pretrained
    from stablefit.models.pretrained import save_pretrained as save_pretrained
    from stablefit.serve.export import export as export
    from stablefit.serve.model import load as load
    from stablefit.serve.predict import predict as predict
    from stablefit.study.frames import load_study as load_study
    from stablefit.training.in_memory import run as run
    from stablefit.training.observer import Observer as Observer

# What the package offers by name -> the module that holds it; a module itself has no name after the colon.
_OFFERED = {
    "methods": "stablefit.methods",
    "load_pretrained": "stablefit.models.pretrained:load_pretrained",
    "save_pretrained": "stablefit.models.pretrained:save_pretrained",
    "run": "stablefit.training.in_memory:run",
    "predict": "stablefit.serve.predict:predict",
    "export": "stablefit.serve.export:export",
    "load": "stablefit.serve.model:load",
    "load_study": "stablefit.study.frames:load_study",
    "Observer": "stablefit.training.observer:Observer",
    "TextClassifier": "stablefit.estimators:TextClassifier",
    "TextRegressor": "stablefit.estimators:TextRegressor",
    "Tagger": "stablefit.estimators:Tagger",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        value: Any = _version()
    elif name in _OFFERED:
        module, _, attribute = _OFFERED[name].partition(":")
        value = _imported(name, module)
        value = getattr(value, attribute) if attribute else value
    else:
        raise AttributeError(f"module 'stablefit' has no attribute {name!r}; it offers {', '.join(_OFFERED)}")
    globals()[name] = value  # asked for once
    return value


def _imported(name: str, module: str) -> Any:
    """The module; where a package is missing for it, an error that says how to install that."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        from stablefit import extras

        said = extras.remedy(error)
        if said is None:
            raise
        raise ModuleNotFoundError(f"stablefit.{name}: {said}", name=error.name) from None


def __dir__() -> list[str]:
    return sorted({*globals(), *_OFFERED, "__version__"})


def _version() -> str:
    """That of the installed package; a folder of sources that nobody installed has none."""
    from importlib import metadata

    try:
        return metadata.version("stablefit")
    except metadata.PackageNotFoundError:
        return "unknown"
