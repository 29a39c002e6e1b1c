"""The one place that turns a config into what the program uses, and that says what is wrong with it.

A config splits in three: `Spec`, what changes the compiled program; `Hypers`, scalars that may be traced; `Keys`, the
randomness of one seed. A hyper-parameter at its identity value stays a Python constant, so the chain skips it; every
other one is traced, so that settings which use the same methods share one compiled program.
"""

import dataclasses
import difflib
import hashlib
import json
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from stablefit.errors import InputError
from stablefit.training import stopping


class Field(NamedTuple):
    """What a config field may be."""

    kind: type  # int, float, bool, str or tuple (of int)
    allowed: str  # in words, as an error message ends
    check: Callable[[Any], bool] = lambda _: True
    before: Any = None  # what runs did before there was this field: with this value a run is still the same run


def _one_of(*choices: str) -> Field:
    return Field(str, "one of " + ", ".join(choices), lambda value: value in choices)


_text = Field(str, "a string")
_flag = Field(bool, "True or False")
_count = Field(int, "an integer from 1 to 1,000,000", lambda value: 1 <= value <= 10**6)
_count_or_zero = Field(int, "an integer from 0 to 10,000,000", lambda value: 0 <= value <= 10**7)
_stream_seed = Field(int, "-1 (follows the seed) or an integer in [0, 2^32)", lambda value: -1 <= value < 2**32)
_positive = Field(float, "a finite number > 0", lambda value: math.isfinite(value) and value > 0)
_rate = Field(float, "a finite number >= 0", lambda value: math.isfinite(value) and value >= 0)
_beta = Field(float, "a number in [0, 1)", lambda value: 0 <= value < 1)
_share = Field(float, "a number in [0, 1]", lambda value: 0 <= value <= 1)
_norm = Field(float, "a number > 0, or inf for no clipping", lambda value: value > 0)
_decay = Field(float, "a number in (0, 1]; 1 is no decay", lambda value: 0 < value <= 1)

FIELDS: dict[str, Field] = {
    "model": Field(str, "a directory, a hub id, or package:NAME", bool),
    "task": Field(str, "the name of a task", bool),
    "data_dir": _text,
    "max_length": Field(int, "an integer >= 8", lambda value: value >= 8),
    "train_examples": _count_or_zero,
    "data_file": _text._replace(before=""),
    "text_columns": _text._replace(before=""),
    "join_texts": _flag._replace(before=False),
    "label_column": _text._replace(before=""),
    "group_column": _text._replace(before=""),
    "id_column": _text._replace(before=""),
    "label_kind": _one_of("auto", "classification", "regression", "multilabel")._replace(before="auto"),
    "label_separator": _text._replace(before=""),
    "skip_bad": _flag._replace(before=False),
    "train_on_all": _flag._replace(before=False),
    "class_weights": _one_of("none", "balanced")._replace(before="none"),
    "folds": Field(int, "0 for none, or an integer from 2 to 100", lambda value: value == 0 or 2 <= value <= 100, 0),
    "tag_scheme": _one_of("iob2", "iob1", "iobes")._replace(before="iob2"),
    "pieces": _one_of("word", "text")._replace(before="word"),
    "crf": _flag._replace(before=True),
    "init_from": _text,
    "batch_size": _count,
    "eval_batch_size": _count,
    "epochs": _positive,
    "max_steps": _count_or_zero,
    "evaluations": _count,
    "patience": _count_or_zero._replace(before=0),
    "stop_seeds_at": Field(float, "a number in [0, 1); 0 is off", lambda value: 0 <= value < 1, before=0.0),
    "keep_seeds": Field(float, "a number in (0, 1)", lambda value: 0 < value < 1, before=0.5),
    "learning_rate": _positive,
    "schedule": _one_of("linear", "bert", "uncorrected"),
    "warmup_ratio": _share,
    "clip_norm": _norm,
    "component_clip_norm": _norm,
    "b1": _beta,
    "b2": _beta,
    "eps": _positive,
    "eps_hat": _flag,
    "bias_correction": _one_of("both", "none", "first", "second"),
    "weight_decay": _rate,
    "init_decay": _rate,
    "init_decay_coupled": _rate,
    "init_decay_unscaled": _share,
    "projection_decay": _rate,
    "init_decay_everywhere": _flag,
    "layer_decay": _decay,
    "layer_decay_convention": _one_of("paper", "electra"),
    "lr_multipliers": _text,
    "pooling": _one_of("pooler", "cls", "mean")._replace(before="pooler"),
    "head_start": _one_of("normal", "probe")._replace(before="normal"),
    "reinit_layers": _count_or_zero,
    "reinit_blocks": Field(tuple, "a tuple of block indices >= 0", lambda value: all(i >= 0 for i in value)),
    "reinit_patterns": _text,
    "reinit_pooler": _flag,
    "mixout_rate": _share,
    "mixout_unit": _one_of("input", "weight"),
    "mixout_gradient": _one_of("true", "official"),
    "mixout_with_dropout": _flag,
    "dropout": Field(float, "a number in [0, 1)", lambda value: 0 <= value < 1),
    "seeds": Field(
        tuple,
        "a tuple of different integers in [0, 2^32), such as 0,1,2",
        lambda value: len(value) > 0 and len(set(value)) == len(value) and all(0 <= seed < 2**32 for seed in value),
    ),
    "init_seed": _stream_seed,
    "data_seed": _stream_seed,
    "noise_seed": _stream_seed,
    "compute_dtype": _one_of("float32", "bfloat16"),
    "cohort_size": _count_or_zero,
    "keep": _one_of("best_and_last", "best", "none"),
    "checkpoint_minutes": _rate,
    "tensorboard": _flag,
}

# What may differ between two parts of the same run: which seeds, and what the machine does beside the numbers.
NOT_IDENTITY = ("seeds", "cohort_size", "keep", "checkpoint_minutes", "tensorboard")


def identity(values: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a config that make a run what it is: two runs of one seed with these equal are the same run.

    Seeds that are compared with each other, so that only the best go on, are a part of that: what the row of one says
    depends on which others there were. A field that is newer than the format counts only where it is used, so that what
    was begun goes on after an update.
    """

    def counts(name: str, value: Any) -> bool:
        return name not in NOT_IDENTITY and (name not in FIELDS or value is None or value != FIELDS[name].before)

    fields = {name: value for name, value in values.items() if counts(name, value)}
    return fields | ({"seeds": tuple(sorted(values["seeds"]))} if values.get("stop_seeds_at") else {})


@dataclasses.dataclass(frozen=True)
class Spec:
    """What changes the compiled program or the data, fixed for a run; fields as in `configs/base.py`."""

    model: str
    task: str
    data_dir: str
    max_length: int
    train_examples: int
    data_file: str
    text_columns: str
    join_texts: bool
    label_column: str
    group_column: str
    id_column: str
    label_kind: Literal["auto", "classification", "regression", "multilabel"]
    label_separator: str
    skip_bad: bool
    train_on_all: bool
    class_weights: Literal["none", "balanced"]
    folds: int
    tag_scheme: Literal["iob2", "iob1", "iobes"]
    pieces: Literal["word", "text"]
    crf: bool
    init_from: str
    batch_size: int
    eval_batch_size: int
    epochs: float
    max_steps: int
    evaluations: int
    schedule: str
    eps_hat: bool
    init_decay_everywhere: bool
    layer_decay_convention: Literal["paper", "electra"]
    lr_multipliers: tuple[tuple[str, float], ...]
    reinit_layers: int
    reinit_blocks: tuple[int, ...]
    reinit_patterns: tuple[str, ...]
    reinit_pooler: bool
    mixout_unit: Literal["input", "weight"]
    mixout_gradient: Literal["true", "official"]
    pooling: Literal["pooler", "cls", "mean"]
    head_start: Literal["normal", "probe"]
    dropout: float
    compute_dtype: str


@dataclasses.dataclass(frozen=True)
class Hypers:
    """Scalars that may be traced; each has the value that makes its method the identity."""

    learning_rate: Any
    warmup_ratio: Any
    clip_norm: Any
    component_clip_norm: Any
    b1: Any
    b2: Any
    eps: Any
    correct_first: Any
    correct_second: Any
    weight_decay: Any
    init_decay: Any
    init_decay_coupled: Any
    init_decay_unscaled: Any
    projection_decay: Any
    layer_decay: Any
    mixout_rate: Any

    def traced(self) -> dict[str, Any]:
        """The values that differ from the identity, which a compiled program takes as arguments."""
        return {name: value for name, value in vars(self).items() if value != IDENTITY.get(name, value)}


# A method at this value is left out of the program. The booleans of Adam shape its formula and are never traced here.
IDENTITY: dict[str, float] = {
    "learning_rate": 0.0,
    "clip_norm": math.inf,
    "component_clip_norm": math.inf,
    "weight_decay": 0.0,
    "init_decay": 0.0,
    "init_decay_coupled": 0.0,
    "init_decay_unscaled": 0.0,
    "projection_decay": 0.0,
    "layer_decay": 1.0,
    "mixout_rate": 0.0,
}


class StreamSeeds(NamedTuple):
    """The three randomnesses of a run as integers: head and re-init; data order; dropout and mixout."""

    init: int
    data: int
    noise: int


class Settings(NamedTuple):
    """A valid config."""

    values: dict[str, Any]  # every field, resolved
    spec: Spec
    hypers: Hypers

    @property
    def seeds(self) -> tuple[int, ...]:
        return self.values["seeds"]

    def stream_seeds(self, seed: int) -> StreamSeeds:
        """The seeds of the three streams of one run: its own seed, but where a stream is held."""
        held = (self.values[f"{stream}_seed"] for stream in StreamSeeds._fields)
        return StreamSeeds(*(seed if value < 0 else value for value in held))

    @property
    def program(self) -> tuple[tuple[str, Any], ...]:
        """What settings have in common whose runs can be members of one program: all but seeds and traced values."""
        streams = (f"{stream}_seed" for stream in StreamSeeds._fields)
        own = {"seeds", *streams, *self.hypers.traced()}
        return tuple(sorted((name, value) for name, value in self.values.items() if name not in own))

    @property
    def identity(self) -> dict[str, Any]:
        """`identity` of the values."""
        return identity(self.values)

    @property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that name the identity."""
        return hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()[:12]


def read(config: Mapping[str, Any]) -> Settings:
    """Checks a config and splits it.

    Args:
        config: a mapping of field names to values, such as an ml_collections ConfigDict.

    Raises:
        InputError: an unknown or missing field, a wrong type, a value out of range, or a combination that cannot be.
    """
    values = {name: _value(name, value) for name, value in config.items()}
    missing = [name for name in FIELDS if name not in values]
    if missing:
        raise InputError(f"config field {missing[0]} is missing; start from configs/base.py, which holds every field")
    _check_combinations(values)
    rules = tuple(_rule(text) for text in values["lr_multipliers"].split())
    patterns = tuple(values["reinit_patterns"].split())
    correction = values["bias_correction"]
    derived = {
        "lr_multipliers": rules,
        "reinit_patterns": patterns,
        "correct_first": correction in ("both", "first"),
        "correct_second": correction in ("both", "second"),
    }
    known = values | derived
    spec = Spec(**{field.name: known[field.name] for field in dataclasses.fields(Spec)})
    hypers = Hypers(**{field.name: known[field.name] for field in dataclasses.fields(Hypers)})
    return Settings(values, spec, hypers)


def _value(name: str, value: Any) -> Any:
    field = FIELDS.get(name)
    if field is None:
        near = difflib.get_close_matches(name, FIELDS, n=1)
        hint = f"did you mean {near[0]}?" if near else "configs/base.py holds every field"
        raise InputError(f"config field {name} is unknown; {hint}")
    if field.kind is float and type(value) is int:
        value = float(value)
    if field.kind is tuple and type(value) in (list, range):
        value = tuple(value)
    wrong = type(value) is not field.kind or (
        field.kind is tuple and not all(type(element) is int for element in value)
    )
    if wrong or value != value or not field.check(value):
        raise InputError(f"config field {name} is {value!r}; it must be {field.allowed}")
    return value


def _rule(text: str) -> tuple[str, float]:
    pattern, separator, factor = text.rpartition("=")
    try:
        number = float(factor)
    except ValueError:
        number = math.nan
    if not separator or not math.isfinite(number) or number < 0:
        raise InputError(f"config field lr_multipliers has {text!r}; it must be pattern=factor, such as head/.*=100")
    return pattern, number


def _check_combinations(values: dict[str, Any]) -> None:
    if values["mixout_rate"] > 0 and values["dropout"] > 0 and not values["mixout_with_dropout"]:
        raise InputError(
            f"config fields mixout_rate={values['mixout_rate']} and dropout={values['dropout']} are both on; mixout "
            "replaces dropout: set dropout=0, or mixout_with_dropout=True if both are meant"
        )
    if values["stop_seeds_at"] and values["folds"]:
        raise InputError(
            f"config fields stop_seeds_at={values['stop_seeds_at']:g} and folds={values['folds']} are both on; seeds "
            "of different folds cannot be compared: set one of them to 0"
        )
    n = len(values["seeds"])
    if values["stop_seeds_at"] and stopping.n_kept(n, values["keep_seeds"]) == n:
        raise InputError(
            f"config fields stop_seeds_at={values['stop_seeds_at']:g} and keep_seeds={values['keep_seeds']:g} keep all "
            f"of {n} seeds; give more seeds, or keep fewer"
        )
    fresh = [name for name in ("reinit_layers", "reinit_blocks", "reinit_patterns", "reinit_pooler") if values[name]]
    if values["head_start"] == "probe" and fresh:
        raise InputError(
            f"config fields head_start='probe' and {fresh[0]}={values[fresh[0]]!r} are both on; a head that is fitted "
            "to the pre-trained encoder does not fit one that starts anew: set head_start='normal', or no re-init"
        )
    anchors = ("init_decay", "init_decay_coupled", "init_decay_unscaled", "projection_decay")
    on = [name for name in anchors if values[name] > 0]
    if len(on) > 1:
        raise InputError(f"config fields {' and '.join(on)} are forms of one method; set one of them, the others to 0")
    if values["init_decay_everywhere"] and not on:
        raise InputError(f"config field init_decay_everywhere is True without a decay; set one of {', '.join(anchors)}")
