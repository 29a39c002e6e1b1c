"""What a run's model is, beside its parameters: enough to report, predict and export from the folder alone.

WORKDIR/bundle/bundle.json     the task (kind, labels, columns, metrics), how texts are read, the settings, the versions
WORKDIR/bundle/config.json     the encoder's sizes, as Hugging Face's directories have them
WORKDIR/bundle/tokenizer.json  and whatever other files of a tokenizer lay beside the pre-trained weights
"""

import dataclasses
import json
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stablefit.data.tasks import TASKS, Kind, Task
from stablefit.errors import InputError
from stablefit.models import sources
from stablefit.training.files import write_whole

if TYPE_CHECKING:  # whoever reads a bundle, as a report does, needs no JAX
    from stablefit.training.job import Job

FOLDER, FILE, FORMAT = "bundle", "bundle.json", 1
TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json", "added_tokens.json",
    "vocab.json", "merges.txt", "spiece.model", "spm.model", "sentencepiece.bpe.model",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Bundle:
    """What the outputs of a model mean and what it reads.

    Args:
        folder: where the encoder's config.json and the tokenizer are.
        kind: of the task.
        task: its name.
        labels: what the outputs stand for: classes or labels; tags in IOB2; empty for a number.
        pooling: how the hidden states of a text become one vector; of no meaning to a tagger.
        max_length: most tokens of a text, or of a window of a document.
        text_columns, label_columns, id_column, group_column, join_texts, pair: of own texts, as they were found.
        thresholds: of several labels, the probability from which on each is given; None: one half.
        unit, pieces, crf: of a tagger.
        selection_metric, report_metric: of the task.
        model: where the pre-trained weights came from: 'source' and 'revision'.
        settings: every field of the config.
        versions: of the packages.
    """

    folder: Path
    kind: Kind
    task: str
    labels: tuple[str, ...]
    pooling: str
    max_length: int
    text_columns: tuple[str, ...]
    label_columns: tuple[str, ...]
    id_column: str
    group_column: str
    join_texts: bool
    pair: bool
    thresholds: tuple[float, ...] | None
    unit: str
    pieces: str
    crf: bool
    selection_metric: str
    report_metric: str
    model: dict[str, Any]
    settings: dict[str, Any]
    versions: dict[str, str]

    @classmethod
    def read(cls, folder: Path, name: str = FILE) -> "Bundle":
        """Reads a bundle's folder, or an exported one, where the file has another name.

        Raises:
            InputError: there is none, or it is damaged or of a later format.
        """
        file = folder / name
        values = sources.read_json(file)
        if values.pop("format", None) != FORMAT:
            raise InputError(f"{file}: is of another format than {FORMAT}; take the version of stablefit that wrote it")
        try:
            known = {field.name: values[field.name] for field in dataclasses.fields(cls) if field.name != "folder"}
        except KeyError as missing:
            raise InputError(f"{file}: has no {missing}; run the command that made it again") from None
        frozen: dict[str, Any] = {name: tuple(x) if isinstance(x, list) else x for name, x in known.items()}
        return cls(folder, **frozen)

    def to_dict(self) -> dict[str, Any]:
        """What bundle.json holds."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {"format": FORMAT, **{name: value for name, value in values.items() if name != "folder"}}

    def write(self, folder: Path, **changes: Any) -> "Bundle":
        """Writes it, with the encoder's config and the tokenizer, into another folder; what is there is replaced."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("config.json", *TOKENIZER_FILES):
            if (self.folder / name).is_file():
                shutil.copyfile(self.folder / name, folder / name)
        bundle = dataclasses.replace(self, folder=folder, **changes)
        write_whole(folder / FILE, json.dumps(bundle.to_dict(), indent=2) + "\n")
        return bundle

    def as_task(self) -> Task:
        """The task, as the table of tasks would have it."""
        if self.settings["task"] != "texts":
            return TASKS[self.settings["task"]]
        return Task(self.task, self.kind, self.labels, None, "", self.selection_metric, self.report_metric)


def of_job(job: "Job") -> Bundle:
    """The bundle of a run; its folder is that of the pre-trained model."""
    values, task, columns = job.values, job.task, job.columns
    folder = sources.resolve(values["model"])
    # A snapshot of the hub's cache is a folder named after its revision.
    revision = folder.resolve().name if folder.resolve().parent.name == "snapshots" else None
    return Bundle(
        folder=folder,
        kind=task.kind,
        task=task.name,
        labels=job.objective.labels,
        pooling=values["pooling"],
        max_length=values["max_length"],
        text_columns=tuple(columns.get("text_columns", ())),
        label_columns=tuple(columns.get("label_columns", ())),
        id_column=columns.get("id_column", ""),
        group_column=columns.get("group_column", ""),
        join_texts=columns.get("join_texts", False),
        pair=columns.get("pair", task.columns is not None and task.columns.text_b is not None),
        thresholds=None,
        unit=task.unit,
        pieces=values["pieces"],
        crf=task.kind == "tagging" and values["crf"],
        selection_metric=task.selection_metric,
        report_metric=task.report_metric,
        model={"source": values["model"], "revision": revision},
        settings=values,
        versions={name: version(name) for name in ("stablefit", "jax", "flax", "optax", "transformers")},
    )


def ensure(workdir: Path, job: "Job") -> None:
    """Puts the bundle into a run's folder, if it is not there yet: a folder of before there were bundles gets one."""
    if not (workdir / FOLDER / FILE).is_file():
        of_job(job).write(workdir / FOLDER)
