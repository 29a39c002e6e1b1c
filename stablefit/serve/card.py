"""The model card of an exported directory: README.md, from the bundle and what is known of how good it is.

It holds no text of the training data and no path of the machine it was made on. Names of labels and columns are in it.
"""

import dataclasses
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from stablefit.errors import InputError
from stablefit.models import sources
from stablefit.training.bundle import Bundle

FACTS = "facts.json"  # in a fit's DIR/model

_HUB_TASKS = {"tagging": "token-classification"}
_PATHS = ("data_file", "data_dir", "model", "init_from")  # fields of a config that name places on a machine


class SeedScore(NamedTuple):
    """The score of one run."""

    seed: int
    score: float
    failed: bool = False  # not above what the majority alone gives, or diverged
    diverged: bool = False


@dataclasses.dataclass(frozen=True)
class Facts:
    """What is known of a model beside its bundle. Every field may be left out.

    Args:
        examples: how many there were: of the splits `train`, `validation`, `test`, or of `all`.
        per_label: how many examples have each label.
        metric: what `seeds`, `score` and `baselines` are in.
        seeds: each run's score on rows that it was not trained on.
        score: of the members together on such rows; with the ends of its 95 % interval over rows, if they are known.
        how: what `score` and `seeds` were measured on, in words.
        baselines: name -> score on the same rows.
        calibration: name -> number, such as ECE and Brier score.
        notes: further sentences.
    """

    examples: Mapping[str, int] = dataclasses.field(default_factory=dict)
    per_label: Mapping[str, int] = dataclasses.field(default_factory=dict)
    metric: str = ""
    seeds: tuple[SeedScore, ...] = ()
    score: tuple[float, ...] = ()
    how: str = ""
    baselines: Mapping[str, float] = dataclasses.field(default_factory=dict)
    calibration: Mapping[str, float] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str) -> "Facts":
        """From JSON.

        Raises:
            InputError: a field is not one of these.
        """
        try:
            seeds = tuple(SeedScore(**one) for one in values.get("seeds", ()))
            lists = {name: tuple(values[name]) for name in ("score", "notes") if name in values}
            return cls(**{**values, **lists, "seeds": seeds})
        except TypeError as error:
            raise InputError(f"{where}: is no record of a fit ({error})") from None

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {**values, "seeds": [one._asdict() for one in self.seeds]}


def facts_of(source: str | Path) -> Facts | None:
    """What a fit or a run left of how good it is; None where nothing is left.

    Args:
        source: as `model.load` takes it.
    """
    source = Path(source).expanduser()
    for file in (source / "model" / FACTS, source / FACTS):
        if file.is_file():
            return Facts.from_dict(sources.read_json(file), str(file))
    run = source.parent if source.name.startswith("seed_") else source
    if not (run / "results.jsonl").is_file() or not (run / "bundle").is_dir():
        return None
    metric = Bundle.read(run / "bundle").report_metric
    lines = (run / "results.jsonl").read_text(encoding="utf-8").splitlines()
    try:
        rows = sorted((json.loads(line) for line in lines), key=lambda row: row["seed"])
        seeds = [SeedScore(r["seed"], r["test_best"][metric], r["failed"], r["diverged"]) for r in rows]
    except (ValueError, LookupError, TypeError) as error:
        raise InputError(f"{run / 'results.jsonl'}: is no ledger of a run ({error!r})") from None
    examples = sources.read_json(run / "data.json").get("examples", {}) if (run / "data.json").is_file() else {}
    how = "the test set, at the step that was best on the validation set"
    return Facts(examples=examples, metric=metric, seeds=tuple(seeds), how=how)


def card(bundle: Bundle, facts: Facts | None = None, averaged: bool = False, onnx: bool = False) -> str:
    """The text of README.md.

    Args:
        bundle: of the model.
        facts: what is known of it.
        averaged: whether its last block is the mean over tokens, written as a block of attention.
        onnx: whether `model.onnx` lies beside it.
    """
    facts = facts or Facts()
    parts = [
        _header(bundle, facts),
        f"# {_title(bundle)}",
        _what(bundle),
        "## Use",
        _use(bundle),
        *([_use_of_onnx(bundle)] if onnx else []),
        "## Intended use and limits",
        _limits(bundle, facts),
        "## Data",
        _data(bundle, facts),
        "## Scores",
        _scores(facts),
    ]
    if averaged:
        parts += ["## How it is stored", _STORED]
    settings = {name: value for name, value in public_settings(bundle).items() if name != "seeds" and value != ""}
    made = json.dumps({"settings": settings, "versions": bundle.versions}, indent=2, ensure_ascii=False, default=str)
    parts += ["## How it was made", f"Fine-tuned with stablefit from {_base(bundle)}.", f"```json\n{made}\n```"]
    return "\n\n".join(parts) + "\n"


_STORED = (
    "The model reads the mean of a text's hidden states. So that a stock BERT computes it, the last block has uniform "
    "attention and a large constant, and the pooler is a small multiple of the identity. Run it in float32 or "
    "bfloat16: float16 is too narrow for the constant. Do not prune, quantise or train the last block or the pooler."
)


def _header(bundle: Bundle, facts: Facts) -> str:
    """The YAML in front; strings are written as JSON's, which are YAML's too."""
    task = _HUB_TASKS.get(bundle.kind, "text-classification")
    lines = ["library_name: transformers", f"pipeline_tag: {task}", "tags:", "- stablefit", f"- {bundle.kind}"]
    if _is_on_hub(bundle):
        lines.append(f"base_model: {json.dumps(bundle.model['source'].partition('@')[0])}")
    if facts.metric:
        lines += ["metrics:", f"- {json.dumps(facts.metric)}"]
    return "\n".join(["---", *lines, "---"])


def _title(bundle: Bundle) -> str:
    return {
        "classification": f"A classifier of {'pairs of texts' if bundle.pair else 'texts'}",
        "multilabel": "Labels of texts, any number a text",
        "regression": "A number from a text",
        "tagging": "Entities in texts",
    }[bundle.kind]


def _what(bundle: Bundle) -> str:
    names = ", ".join(f"`{name}`" for name in bundle.labels)
    if bundle.kind == "tagging":
        crf = "A CRF over the tags lies beside it (`crf.json`)." if bundle.crf else "It has no CRF."
        return f"A BERT that gives each {bundle.unit} a tag in IOB2: {names}. {crf}"
    if bundle.kind == "regression":
        return f"A BERT that gives one number, {', '.join(bundle.label_columns) or 'a score'}, in the unit of its data."
    return f"A BERT with the {'labels' if bundle.kind == 'multilabel' else 'classes'} {names}."


def _use(bundle: Bundle) -> str:
    """Code, as a test runs it."""
    if bundle.kind == "tagging":
        return _use_of_tagger(bundle)
    call = {"classification": "top_k=None", "multilabel": "top_k=None, function_to_apply='sigmoid'"}.get(
        bundle.kind, "function_to_apply='none'"
    )
    texts = '{"text": "First text.", "text_pair": "Second text."}' if bundle.pair else '["A text.", "Another."]'
    code = (
        "```python\nfrom transformers import pipeline\n\n"
        f'model = pipeline("text-classification", model=".", truncation=True, {call})\n'
        f"print(model({texts}))\n```"
    )
    cut = ""
    if bundle.kind == "multilabel":
        least = bundle.thresholds or [0.5] * len(bundle.labels)
        pairs = ", ".join(f"`{name}` {value:.3g}" for name, value in zip(bundle.labels, least, strict=True))
        cut = f"\n\nA label is given from this probability on: {pairs}."
    return f"{code}\n\nOr with stablefit: `stablefit predict . texts.csv --out=labelled.csv`.{cut}"


def _use_of_tagger(bundle: Bundle) -> str:
    ours = "With stablefit, entities with their exact probabilities: `stablefit predict . texts.jsonl --out=out.jsonl`."
    read = (
        "each word, or character, cut into pieces on its own and read at its first piece"
        if bundle.pieces == "word"
        else "the text as it stands, each word read at the piece its first character is in; further words of the same "
        "piece are read by the head in `rest_head.npz`"
    )
    stock = (
        "```python\nfrom transformers import pipeline\n\n"
        'model = pipeline("token-classification", model=".", aggregation_strategy="first")\n'
        'print(model("A text."))\n```'
    )
    decode = (
        "\n\nThe CRF's best tags from the logits at the words' first pieces, with NumPy alone:\n\n"
        '```python\nfrom crf_decoder import Decoder\n\ntags = Decoder("crf.json")(logits)  # [words, tags]\n```'
        if bundle.crf
        else ""
    )
    return (
        f"{ours}\n\nWith transformers alone the token classifier is asked at every piece, without "
        f"{'the CRF and ' if bundle.crf else ''}the order of tags:\n\n{stock}{decode}\n\n"
        f"It was trained on {read}, in windows of {bundle.max_length} tokens."
    )


def _use_of_onnx(bundle: Bundle) -> str:
    """Code, as a test runs it."""
    texts = '["First text."], ["Second text."]' if bundle.pair else '["A text.", "Another."]'
    code = (
        "```python\nimport onnxruntime\nfrom transformers import AutoTokenizer\n\n"
        'tokenizer, session = AutoTokenizer.from_pretrained("."), onnxruntime.InferenceSession("model.onnx")\n'
        f'batch = tokenizer({texts}, padding=True, truncation=True, return_tensors="np")\n'
        '[logits] = session.run(["logits"], {name: value.astype("int64") for name, value in batch.items()})\n```'
    )
    return f"With ONNX Runtime, or another program that reads ONNX, `model.onnx` gives the logits:\n\n{code}"


def _limits(bundle: Bundle, facts: Facts) -> str:
    n = facts.examples.get("train", facts.examples.get("all"))
    few = f" It was trained on {n:,} examples: rare cases are not among them." if n else ""
    longer = (
        f"Longer texts are read in windows of {bundle.max_length} tokens."
        if bundle.kind == "tagging"
        else f"It reads the first {bundle.max_length} tokens of a text."
    )
    sure = "Probabilities are the model's own and no measure of truth"
    if bundle.kind == "regression":
        sure = "Its numbers are estimates"
    return (
        f"For texts like those it was trained on; on others, and on other languages, nothing is known of it.{few} "
        f"{longer} {sure}; decisions about people need a person."
    )


def _data(bundle: Bundle, facts: Facts) -> str:
    counted = ", ".join(f"{count:,} {name}" for name, count in facts.examples.items())
    lines = [f"Examples: {counted}." if counted else "How many examples it was trained on is not recorded."]
    if bundle.text_columns:
        lines.append(f"Read from the columns {', '.join(f'`{name}`' for name in bundle.text_columns)}.")
    if facts.per_label:
        rows = [f"| {_cell(name)} | {count:,} |" for name, count in facts.per_label.items()]
        lines.append("\n".join(["", "| label | examples |", "|---|---|", *rows]))
    return "\n".join([*lines, "", "The training texts are not part of this directory."])


def _scores(facts: Facts) -> str:
    if not facts.seeds and not facts.score:
        return "None are recorded."
    lines = [f"Measured in {facts.metric} on {facts.how or 'rows it was not trained on'}."]
    if facts.score:
        value, *ends = facts.score
        units = "documents" if facts.metric.startswith("entity") else "rows"
        between = f" (95 % interval over {units}: {ends[0]:.3f} to {ends[1]:.3f})" if len(ends) == 2 else ""
        together = "All members together" if len(facts.seeds) > 1 else "In all"
        lines.append(f"\n{together}: {value:.3f}{between}.")
    if facts.seeds:
        lines.append(f"\n{_spread(facts.seeds)}\n")
        rows = [f"| {one.seed} | {one.score:.3f} | {_note(one)} |" for one in facts.seeds]
        lines += [f"| seed | {facts.metric} | |", "|---|---|---|", *rows]
    for title, numbers in (("Baselines on the same rows", facts.baselines), ("Calibration", facts.calibration)):
        if numbers:
            lines.append(
                f"\n{title}: {', '.join(f'{name} {round(value, 3) + 0.0:.3f}' for name, value in numbers.items())}."
            )
    return "\n".join([*lines, *(f"\n{note}" for note in facts.notes)])


def _spread(seeds: Sequence[SeedScore]) -> str:
    finite = [one.score for one in seeds if math.isfinite(one.score)]
    failed = sum(one.failed for one in seeds)
    sd = f", standard deviation {statistics.stdev(finite):.3f}" if len(finite) > 1 else ""
    mean = f"mean {statistics.fmean(finite):.3f}{sd}; " if finite else ""
    return f"{len(seeds)} run{'s' * (len(seeds) > 1)}: {mean}{failed} failed."


def _note(one: SeedScore) -> str:
    return "diverged" if one.diverged else "failed" if one.failed else ""


def public_settings(bundle: Bundle) -> dict[str, Any]:
    """The settings without what names places on the machine they were used on."""
    return {name: value for name, value in bundle.settings.items() if name not in _PATHS}


def public_source(bundle: Bundle) -> str:
    """Where the encoder came from: the hub's name, the package's, or the folder's without those above it."""
    source = str(bundle.model.get("source", ""))
    return source if _is_on_hub(bundle) or source.startswith("package:") else Path(source).name


def _is_on_hub(bundle: Bundle) -> bool:
    source = str(bundle.model.get("source", ""))
    return bool(source) and not source.startswith(("package:", "/", ".", "~")) and source.count("/") == 1


def _base(bundle: Bundle) -> str:
    revision = bundle.model.get("revision")
    return f"`{public_source(bundle) or 'an unnamed encoder'}`" + (f" at revision `{revision}`" if revision else "")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
