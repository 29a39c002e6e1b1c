"""What people call metrics and data sets."""

from stablefit.data.tasks import Task

_METRICS = {
    "f1": "F1",
    "f1_macro": "macro F1",
    "f1_micro": "micro F1",
    "matthews": "Matthews correlation",
    "pearson": "Pearson correlation",
    "spearman": "Spearman correlation",
    "r2": "R²",
    "entity_f1": "entity F1",
    "entity_f1_strict": "entity F1",
}
_DATA_SETS = {"reviews": "film reviews", "texts": "own texts"}


def metric(task: Task) -> str:
    """The metric that results are reported in.

    Examples:
        >>> from stablefit.data.tasks import TASKS
        >>> metric(TASKS["stsb"]), metric(TASKS["ccks"]), metric(TASKS["rte"])
        ('Spearman correlation', 'entity F1', 'accuracy')
    """
    return _METRICS.get(task.report_metric, task.report_metric.replace("_", " "))


def data_set(task: Task) -> str:
    """The name of the data, as its publishers write it.

    Examples:
        >>> from stablefit.data.tasks import TASKS
        >>> data_set(TASKS["sst2"]), data_set(TASKS["ccks"]), data_set(TASKS["reviews"])
        ('SST-2', 'CCKS2020 military', 'film reviews')
    """
    return _DATA_SETS.get(task.name) or task.folder.replace("_", " ") or task.name
