"""Every field of a config, declared once: default, range, role, identity, meaning.

Where a field stands says its role. `Spec` is static: it changes the compiled program, or the data. A `Traced` number of
`Hypers` may be traced: settings that differ in it share a program. `Policy` changes neither: which seeds, when to stop,
what to keep. The base config, the checks, the three classes, the identity of a run, what an announcement calls a method
and docs/fields.md are made from what stands here.

Every method is at its identity by default, everything else as the paper has it: "Revisiting Few-sample BERT
Fine-tuning" (Zhang et al., ICLR 2021), BERT-large uncased, batch 32, length 128, peak learning rate 2e-5, 3 epochs, 10%
warm-up then linear decay, global clip 1.0, dropout 0.1, ten evaluations.
"""

# ruff: noqa: RUF009  (what stands in place of a default is dataclasses.field)

import dataclasses
import functools
import math
import typing
from typing import Any, Literal

from stablefit import declaring as may
from stablefit import factors as designed

PARTS = (  # of the documentation, in its order
    "What is trained, and on what",
    "Your own labelled texts, and tagging tasks",
    "Tagging tasks only",
    "How long",
    "Adam, clipping, schedule",
    "Methods on the update",
    "Methods on the loss",
    "The head",
    "Methods on the parameters",
    "Randomness: a seed fans out into three streams; each can be held, or be a factor of its own",
    "The machine",
)
_data, _texts, _tags, _long, _adam, _updates, _losses, _head, _params, _seeds, _machine = (
    functools.partial(may.field, part=part) for part in PARTS
)
_own = functools.partial(_texts, only="texts")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
    """What changes the compiled program or the data, fixed for a run."""

    model: str = _data(
        "bert-large-uncased", "A directory, a hub id, or package:NAME of an installed package.", may.MODEL
    )
    task: str = _data("rte", "A name of stablefit/data/tasks.py; reviews is embedded; texts: your data_file.", may.NAME)
    data_dir: str = _data("", "The folder of the task's files, or one that holds it.")
    max_length: int = _data(
        128,
        "Pieces; longer inputs are cut, shorter ones cost only what they need.",
        may.Range("an integer >= 8", lambda value: value >= 8),
    )
    train_examples: int = _data(
        0,
        "A subset of this size, class-balanced (the paper's 1k sets: 1000); of own texts with each class in its share; "
        "of tagging any; 0: all.",
        may.COUNT_OR_ZERO,
    )
    init_from: str = _data(
        "", "Folder of a finished seed: its encoder is the start, and for the same labels its head.", off=""
    )

    data_file: str = _own(
        "",
        "A table (CSV, TSV, JSON lines, Parquet, Excel), or a folder of train, dev and test tables; with task=texts.",
        before="",
    )
    text_columns: str = _own(
        "",
        "Names of one or two columns, with a comma between; empty: found. Of files of tags the number of the words' "
        "column, from 1; empty: the first.",
        before="",
    )
    join_texts: bool = _own(False, "True: text columns are joined to one text; False: two are a pair.", before=False)
    label_column: str = _own(
        "",
        "One column, or several 0/1 columns with commas between; empty: found. Of files of tags the number of the "
        "tags' column, from 1; empty: the last.",
        before="",
    )
    group_column: str = _own("", "Rows of one group (a customer, a film) are never split between folds.", before="")
    id_column: str = _own("", "What names a row in predictions; empty: its line.", before="")
    label_kind: Literal["auto", "classification", "regression", "multilabel"] = _own(
        "auto", "What labels are; auto: inferred from them, and said.", before="auto"
    )
    label_separator: str = _own(
        "", 'What stands between several labels of a row, such as ";"; empty: found.', before=""
    )
    skip_bad: bool = _own(
        False,
        "True: rows, and sentences or documents with entities, that cannot be used are left out and counted; False: "
        "they are refused.",
        before=False,
    )
    train_on_all: bool = _texts(
        False, "True: no rows are set aside to choose the best step, the last counts; of tagging too.", before=False
    )
    class_weights: Literal["none", "balanced"] = _texts(
        "none",
        "balanced: an example's loss is weighted by N / (classes x examples of its class).",
        off="none",
        before="none",
        only="sequences",
    )
    folds: int = _texts(
        0,
        "Cross-validation: seed s is tested on fold s mod folds; 0: the test file.",
        may.Range("0 for none, or an integer from 2 to 100", lambda value: value == 0 or 2 <= value <= 100),
        before=0,
    )
    tag_scheme: Literal["iob2", "iob1", "iobes"] = _tags(
        "iob2", "What the tags of column files are.", before="iob2", only="tagging"
    )
    pieces: Literal["word", "text"] = _tags(
        "word",
        "word: each word, or character, is cut into pieces on its own; text: the text as it stands.",
        before="word",
        only="tagging",
    )
    crf: bool = _tags(
        True, "A linear-chain CRF on the emissions; False: a softmax at each word.", before=True, only="tagging"
    )

    batch_size: int = _long(32, "Examples in a step.", may.COUNT)
    eval_batch_size: int = _long(64, "Examples in a step of an evaluation.", may.COUNT)
    epochs: float = _long(3.0, "Passes over the training examples.", may.POSITIVE)
    max_steps: int = _long(
        0, "Longer training: this many steps instead of epochs; 0: epochs.", may.COUNT_OR_ZERO, off=0
    )
    evaluations: int = _long(10, "Every T//10 steps and at the end; the best on validation is kept.", may.COUNT)

    schedule: Literal["linear", "bert", "uncorrected"] = _adam(
        "linear",
        "linear: warm-up, then linear to 0; bert: TF BERT's, which jumps after warm-up; uncorrected: linear times r(t),"
        " by which Adam's steps are longer without bias correction (methods.bias_correction_ratio).",
        off="linear",
    )
    eps_hat: bool = _adam(
        False, "True: epsilon beside the uncorrected second moment, as TF BERT and old transformers have it."
    )

    init_decay_everywhere: bool = _updates(
        False, "True: head and re-initialised leaves are pulled too, as in the released code."
    )
    layer_decay_convention: Literal["paper", "electra"] = _updates(
        "paper", "paper: the top block has layer_decay; electra: its square."
    )
    lr_multipliers: tuple[tuple[str, float], ...] = _updates(
        "",
        'Space-separated pattern=factor, the first match wins, such as "head/.*=100".',
        may.Range("a string"),
        off="",
        parse=may.rules,
    )

    pooling: Literal["pooler", "cls", "mean", "auto"] = _head(
        "auto",
        "pooler: tanh(W h + b) of [CLS]; cls: [CLS] itself; mean: LayerNorm of the pieces' mean; auto: as the model's "
        "directory says (1_Pooling), else pooler.",
        off="pooler",
        before="pooler",
        only="sequences",
    )
    head_start: Literal["normal", "probe", "probe_1se"] = _head(
        "normal",
        "probe: the head starts as logistic (or ridge) regression on the frozen encoder; probe_1se: with the strongest "
        "penalty whose loss in cross-validation is within a standard error of the least.",
        off="normal",
        before="normal",
        only="sequences",
    )

    reinit_layers: int = _params(
        0, "Re-initialise this many top blocks, and the pooler with them.", may.COUNT_OR_ZERO, off=0
    )
    reinit_blocks: tuple[int, ...] = _params(
        (),
        "And these block indices, from 0 at the bottom.",
        may.Range("a tuple of block indices >= 0", lambda value: all(i >= 0 for i in value)),
        off=(),
    )
    reinit_patterns: tuple[str, ...] = _params(
        "", "And the leaves that these space-separated patterns name.", may.Range("a string"), off="", parse=may.words
    )
    reinit_pooler: bool = _params(False, "Re-initialise the pooler even if no block is.", off=False)
    mixout_unit: Literal["input", "weight"] = _params(
        "input", "input: one draw an input unit, as the released code; weight: one a weight."
    )
    mixout_gradient: Literal["true", "official"] = _params("true", "official: without 1/(1-p), as the released code.")
    dropout: float = _params(0.1, "Share of the activations that a step sets to 0.", may.BETA)
    attention_dropout: float = _params(
        -1.0,
        "Dropout of the attention weights alone; -1: as dropout.",
        may.Range("-1 for as dropout, or a number in [0, 1)", lambda value: value == -1 or 0 <= value < 1),
        before=-1.0,
    )

    subset_seed: int = _seeds(
        0,
        "Which training subset of train_examples is drawn; 0: the one that every study of this size has.",
        may.Range("an integer in [0, 2^32)", lambda value: 0 <= value < 2**32),
        before=0,
    )
    factors: tuple[designed.Factor, ...] = _seeds(
        "",
        "What varies between seeds, and in how many levels, space-separated: subset (the training draw), init, data, "
        "noise, seed for the last three; subset=5 seed=5: seeds 0-24 are five draws with five seeds each. Empty: init, "
        "data and noise follow the seed.",
        may.Range("a string"),
        before="",
        parse=designed.parse,
    )

    compute_dtype: Literal["float32", "bfloat16"] = _machine(
        "float32", "bfloat16: inputs of matrix products, with fp32 sums and fp32 weights."
    )
    gradient: Literal["parts", "whole"] = _machine(
        "parts",
        "parts: on a CPU the gradient of a batch is summed over a few of its rows at a time, which takes less memory "
        "and compiles one program for all batches; not with mixout and SAM. whole: of all at once, as it was before.",
        before="whole",
    )
    remat: bool = _machine(
        False, "True: blocks are computed again in the backward pass; less memory for a third more time.", before=False
    )
    scan_layers: bool = _machine(
        False,
        "True: blocks that are alike are compiled once, as a loop; for deep encoders on accelerators.",
        before=False,
    )


Traced = float | Any  # a Python number, or a traced scalar


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hypers:
    """The numbers of the recipe. One that is `Traced` has a value that makes its method the identity."""

    learning_rate: Traced = _adam(2e-5, "The peak.", may.POSITIVE, off=0.0)
    warmup_ratio: float = _adam(0.1, "Of all steps; the first update has learning rate 0.", may.SHARE)
    clip_norm: Traced = _adam(1.0, "Global norm, before everything else; inf: off.", may.NORM, off=math.inf)
    component_clip_norm: Traced = _adam(math.inf, "Norm of each tensor on its own; inf: off.", may.NORM, off=math.inf)
    b1: float = _adam(0.9, "Decay of Adam's first moment.", may.BETA)
    b2: float = _adam(0.999, "Decay of Adam's second moment.", may.BETA)
    eps: float = _adam(1e-8, "Beside the root of the second moment.", may.POSITIVE)
    bias_correction: Literal["both", "none", "first", "second"] = _adam(
        "both", "none is BERTAdam; first, second: only that moment.", off="both"
    )
    weight_decay: Traced = _updates(
        0.0, "Toward zero, times the learning rate; not on biases and LayerNorm.", may.RATE, off=0.0
    )
    init_decay: Traced = _updates(
        0.0, "Toward the pre-trained weights, times the learning rate (the paper's).", may.RATE, off=0.0
    )
    init_decay_coupled: Traced = _updates(0.0, "The same inside the gradient, through Adam (L2-SP).", may.RATE, off=0.0)
    init_decay_unscaled: Traced = _updates(
        0.0, "The same not times the learning rate: share of the way back each step.", may.SHARE, off=0.0
    )
    projection_decay: Traced = _updates(
        0.0, "Selective projection decay: only where the step leads further away.", may.RATE, off=0.0
    )
    layer_decay: Traced = _updates(
        1.0, "Layer-wise learning-rate decay: block i from the top at layer_decay^i.", may.DECAY, off=1.0
    )
    r_drop: Traced = _losses(
        0.0,
        "R-Drop: weight of what two passes with their own dropout disagree about; doubles the cost of a step.",
        may.RATE,
        off=0.0,
        before=0.0,
    )
    sam_rho: Traced = _losses(
        0.0,
        "SAM: the gradient is taken this far up the loss, such as 0.05; doubles the cost of a step.",
        may.RATE,
        off=0.0,
        before=0.0,
    )
    mixout_rate: Traced = _params(
        0.0, "Mixout: share of the weights that a step takes from the pre-trained model.", may.SHARE, off=0.0
    )

    def traced(self) -> dict[str, Any]:
        """The values that differ from the identity, which a compiled program takes as arguments."""
        return {
            name: value
            for name, value in vars(self).items()
            if FIELDS[name].role == "traced" and value != FIELDS[name].off
        }

    @property
    def correct_first(self) -> bool:
        """Whether Adam corrects its first moment."""
        return self.bias_correction in ("both", "first")

    @property
    def correct_second(self) -> bool:
        """Whether Adam corrects its second moment."""
        return self.bias_correction in ("both", "second")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Policy:
    """What changes neither program nor data: which runs there are, when they stop, what is kept of them."""

    patience: int = _long(
        0, "A run stops after so many evaluations in a row without a better score; 0: off.", may.COUNT_OR_ZERO, before=0
    )
    stop_seeds_at: float = _long(
        0.0,
        "Share of the steps after which seeds are compared, and only the best go on; 0: off.",
        may.Range("a number in [0, 1); 0 is off", lambda value: 0 <= value < 1),
        before=0.0,
    )
    keep_seeds: float = _long(
        0.5,
        "Share of the seeds that then go on, rounded up.",
        may.Range("a number in (0, 1)", lambda value: 0 < value < 1),
        before=0.5,
    )
    mixout_with_dropout: bool = _params(
        False, "True: allow mixout and dropout together; the released code sets dropout to 0."
    )
    seeds: tuple[int, ...] = _seeds((0,), "One run each.", may.SEEDS, names_run=False)
    init_seed: int = _seeds(-1, "Of the head and of re-initialised leaves; -1: follows the seed.", may.STREAM_SEED)
    data_seed: int = _seeds(-1, "Of the order of the examples; -1: follows the seed.", may.STREAM_SEED)
    noise_seed: int = _seeds(-1, "Of dropout and mixout; -1: follows the seed.", may.STREAM_SEED)
    cohort_size: int = _machine(
        0, "Runs in one compiled program; 0: chosen by the device (1 on a CPU).", may.COUNT_OR_ZERO, names_run=False
    )
    keep: Literal["best", "best_and_last", "none"] = _machine(
        "best", "Parameters that are kept at the end; the last ones are read by nothing here.", names_run=False
    )
    checkpoint_minutes: float = _machine(
        5.0, "How much work an unannounced kill may cost; a signal costs none.", may.RATE, names_run=False
    )
    tensorboard: bool = _machine(False, "Write TensorBoard files beside the JSON lines.", names_run=False)


def _declared() -> dict[str, may.Field]:
    """The fields by name, in the order of the documentation's parts."""
    found: list[may.Field] = []
    for cls in (Spec, Hypers, Policy):
        for one in dataclasses.fields(cls):
            told = dict(one.metadata)
            allowed, check = told.pop("values") or _range_of(one.type)
            role = "policy" if cls is Policy else "traced" if one.type == Traced else "static"
            found.append(may.Field(one.name, role=role, allowed=allowed, check=check, **told))
    return {field.name: field for field in sorted(found, key=lambda field: PARTS.index(field.part))}


def _range_of(annotation: Any) -> may.Range:
    if annotation is bool:
        return may.Range("True or False")
    choices = typing.get_args(annotation)
    return (
        may.Range("one of " + ", ".join(choices), lambda value: value in choices) if choices else may.Range("a string")
    )


FIELDS: dict[str, may.Field] = _declared()
