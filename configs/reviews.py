"""The embedded default: sentiment of film-review snippets from 400 labelled ones; `make demo` runs it.

python -m stablefit.main --config=configs/reviews.py --workdir=runs/demo

Results: `experiments/results/demo_mean`.
"""

from stablefit.configs.named import named

get_config = named("reviews")
