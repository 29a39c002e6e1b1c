"""A model -> a directory that Hugging Face's transformers opens; it is opened again before it counts as written."""

import dataclasses
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from stablefit.data import built_tokenizer
from stablefit.data.encoding import load_tokenizer
from stablefit.data.tags import tagging
from stablefit.errors import InputError
from stablefit.models import hf, hf_export, sources
from stablefit.paths import Tree
from stablefit.serve import card, model, onnx_export
from stablefit.serve.card import Facts
from stablefit.serve.model import CRF, REST, Model
from stablefit.serve.places import EXPORTED, MEMBER
from stablefit.training.bundle import TOKENIZER_FILES, Bundle

DECODER = "crf_decoder.py"
_PROBLEMS = {
    "classification": "single_label_classification",
    "regression": "regression",
    "multilabel": "multi_label_classification",
}
_NOT_THE_MODELS = ("_name_or_path", "architectures", "auto_map", "finetuning_task", "num_labels", "torch_dtype")
_CLOSE = 1e-4  # of the largest output: how far the outputs of the directory may be from the model's


def export(
    source: str | Path,
    directory: str | Path,
    member: int | Literal["average", "all"] | None = None,
    facts: Facts | None = None,
    onnx: bool = False,
) -> list[str]:
    """Writes a model as a Hugging Face directory, or several members as a directory each.

    Members that began as one (a probed head on one encoder) stay so near to each other that the average of their
    weights is as good as their mean answer (experiments/results/keep; M. Wortsman et al., "Model soups", ICML 2022).
    Of members that began with different random heads it is not.

    Args:
        source: a fit's, a run's or a seed's folder, or an exported directory.
        directory: must not be there, or be empty. Several members are `directory/member_0` and on.
        member: which one alone, from 0; average: one model, of the members' mean weights; all: each. None: the average
            if they began as one, else all.
        facts: for the model card.
        onnx: writes model.onnx into each directory too.

    Returns:
        what was written, in sentences.

    Raises:
        InputError: the target holds something, the model cannot be read, what `onnx` needs is not installed, or what
            was written does not give the same answers. Then there is nothing at `directory`.
    """
    target = Path(directory).expanduser()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{target} is there already and is not empty; give a directory that is not there")
    if onnx:
        onnx_export.require()
    whole = model.load(source)
    n, alike = len(whole.members), whole.bundle.settings.get("head_start", "normal") != "normal"
    if isinstance(member, int) and not 0 <= member < n:
        raise InputError(f"--member={member}: {source} has {n} members, from 0")
    if member == "average" and not alike:
        raise InputError(f"--member=average: the members of {source} began with different heads; give a number, or all")
    if n > 1 and (member == "average" or (member is None and alike)):
        mean = jax.tree.map(lambda *xs: np.mean(xs, axis=0, dtype=np.float32), *map(jax.device_get, whole.members))
        said = (*whole.said, f"one model: the average of the weights of {n} members; --member=all writes each")
        whole = dataclasses.replace(whole, members=(jax.device_put(mean),), said=said)
    chosen = [member] if isinstance(member, int) else range(len(whole.members))
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    said_of_onnx = ""
    try:
        alone = len(chosen) == 1
        for number, index in enumerate(chosen):
            folder = part if alone else part / MEMBER.format(number)
            one = dataclasses.replace(whole, members=(whole.members[index],))
            _write(one, folder, facts, onnx)
            _check(one, index, folder)
            # Read without transformers, whose import takes a second; behind the check, which reads transformers' files.
            built_tokenizer.write(folder, load_tokenizer(folder))
            if onnx:
                said_of_onnx = onnx_export.write(one, folder, samples(one))
        target.parent.mkdir(parents=True, exist_ok=True)
        part.replace(target)
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error.strerror})") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    names = "" if alone else f": {len(chosen)} directories, {MEMBER.format(0)} and on, one a member"
    written = f"{target}{names}; opened again, it gives the same answers"
    return [*whole.said, written, *([said_of_onnx] if onnx else [])]


def _write(whole: Model, folder: Path, facts: Facts | None, onnx: bool) -> None:
    """The directory of a model of one member."""
    bundle, params = whole.bundle, jax.device_get(whole.members[0])
    folder.mkdir(parents=True)
    fields = sources.read_json(bundle.folder / sources.CONFIG)
    fields = {name: value for name, value in fields.items() if name not in _NOT_THE_MODELS}
    averaged = False
    if bundle.kind == "tagging":
        _write_tagger(bundle, params, fields, folder)
    else:
        params, config = hf_export.stock(params, whole.config, whole.network.pool)  # pyright: ignore
        labels = bundle.labels or (bundle.label_columns[:1] or ("score",))
        averaged = config.num_hidden_layers > whole.config.num_hidden_layers
        before = whole.config.to_dict()
        fields |= {name: value for name, value in config.to_dict().items() if value != before.get(name)}
        fields |= {
            "problem_type": _PROBLEMS[bundle.kind],
            "id2label": {str(i): name for i, name in enumerate(labels)},
        }
        hf.save_encoder(folder, params, fields, hf.SEQUENCES)
    _write_tokenizer(bundle, folder, typed=whole.config.type_vocab_size > 1)
    stored = {
        **bundle.to_dict(),
        "pooling": "pooler",  # that is what the directory's network has
        "settings": card.public_settings(bundle),
        "model": {**bundle.model, "source": card.public_source(bundle)},
    }
    _write_json(folder / EXPORTED, stored)
    text = card.card(bundle, facts, averaged=averaged, onnx=onnx)
    (folder / "README.md").write_text(text, encoding="utf-8")


def _write_tagger(bundle: Bundle, params: Tree, fields: dict[str, Any], folder: Path) -> None:
    """The token classifier; what the stock class has no place for goes beside it."""
    n = len(bundle.labels)
    head = {name: np.asarray(value) for name, value in params["head"].items()}
    if bundle.pieces == "text":
        np.savez(folder / REST, kernel=head["kernel"][:, n:], bias=head["bias"][n:])
        head = {name: value[..., :n] for name, value in head.items()}
    fields = fields | {"id2label": {str(i): name for i, name in enumerate(bundle.labels)}}
    hf.save_encoder(folder, {"encoder": params["encoder"], "head": head}, fields, hf.TOKENS)
    if bundle.crf:
        scores = {name: np.asarray(value, np.float32).tolist() for name, value in params["crf"].items()}
        allowed = tagging.allowed_transitions(bundle.labels, "iob2")
        beside = {
            "tags": list(bundle.labels),
            "scheme": "iob2",
            **scores,
            "allowed": {name: value.tolist() for name, value in allowed.items()},
        }
        _write_json(folder / CRF, beside)
        shutil.copyfile(Path(__file__).with_name(DECODER), folder / DECODER)


def _write_tokenizer(bundle: Bundle, folder: Path, *, typed: bool) -> None:
    """The tokenizer's files; lengths are the user's to decide, up to the model's, and text is text.

    Without being asked transformers' tokenizers of XLNet and ALBERT give no token types.
    """
    for name in TOKENIZER_FILES:
        if (bundle.folder / name).is_file():
            shutil.copyfile(bundle.folder / name, folder / name)
    if (folder / "tokenizer.json").is_file():
        stored = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))  # may be larger than read_json's
        _write_json(folder / "tokenizer.json", stored | {"truncation": None, "padding": None})
    config = folder / "tokenizer_config.json"
    fields = sources.read_json(config) if config.is_file() else {"tokenizer_class": "BertTokenizer"}
    fields = {name: value for name, value in fields.items() if name not in ("auto_map", "name_or_path")}
    if typed:
        fields.setdefault("model_input_names", ["input_ids", "token_type_ids", "attention_mask"])
    _write_json(config, fields | {"model_max_length": bundle.max_length, "split_special_tokens": True})


def _write_json(file: Path, content: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _check(alone: Model, index: int, folder: Path) -> None:
    """Opens the directory again and compares its answers with those of the model of one member.

    Raises:
        InputError: they differ.
    """
    again = model.load(folder)
    texts = samples(alone)
    if alone.bundle.kind == "tagging":
        found, expected = (one.emissions(one.documents(texts)) for one in (again, alone))
        same = [e[:3] for one in again.tag(texts) for e in one] == [e[:3] for one in alone.tag(texts) for e in one]
        difference, most = _furthest(found, expected)
    else:
        second = texts[::-1] if alone.bundle.pair else None
        found, expected = (one.outputs(texts, second) for one in (again, alone))
        answers = [list(one.predict(texts, second)) for one in (again, alone)]
        same = alone.bundle.kind == "regression" or answers[0] == answers[1]
        difference, most = _furthest(found, expected)
    if not np.isfinite(most):
        raise InputError(f"member {index} gives no numbers: its run has diverged, and there is nothing to export")
    if not same or not difference <= _CLOSE * max(1.0, most):
        raise InputError(
            f"what was written does not give the model's answers (outputs differ by {difference:.1e}), so it was "
            "removed; is the disk full, or was the model changed meanwhile?"
        )


def _furthest(found: Sequence[np.ndarray] | np.ndarray, expected: Sequence[np.ndarray] | np.ndarray):
    """The largest difference, and the largest value; infinite where one is no number."""
    differences = [np.abs(a - b).max() for a, b in zip(found, expected, strict=True)]
    return float(np.nan_to_num(np.max(differences), nan=np.inf)), float(np.max([np.abs(b).max() for b in expected]))


def samples(of: Model) -> list[str]:
    """Texts of words from the tokenizer's vocabulary, short and long, and one that is cut; the same at every call."""
    special = set(of.tokenizer.all_special_tokens)
    words = sorted(word for word in of.tokenizer.get_vocab() if word.isalnum() and word not in special) or ["a"]
    random = np.random.default_rng(0)
    lengths = (1, 2, 5, 12, of.bundle.max_length // 2, 2 * of.bundle.max_length)
    return [" ".join(words[i] for i in random.integers(0, len(words), n)) for n in lengths]
