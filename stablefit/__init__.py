"""Stable few-sample fine-tuning of pre-trained encoders in JAX, over many seeds.

Nothing is imported before it is asked for: `import stablefit` costs nothing, `stablefit.load` brings in JAX.
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
        value = importlib.import_module(module)
        value = getattr(value, attribute) if attribute else value
    else:
        raise AttributeError(f"module 'stablefit' has no attribute {name!r}; it offers {', '.join(_OFFERED)}")
    globals()[name] = value  # asked for once
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_OFFERED, "__version__"})


def _version() -> str:
    """That of the installed package; a folder of sources that nobody installed has none."""
    from importlib import metadata

    try:
        return metadata.version("stablefit")
    except metadata.PackageNotFoundError:
        return "unknown"
