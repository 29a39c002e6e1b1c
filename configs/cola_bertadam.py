"""CoLA without Adam's bias correction, which the paper calls BERTAdam (its Figure 2).

python -m stablefit.main --config=configs/cola_bertadam.py --config.data_dir=DIR --config.seeds=$(seq -s, 0 49)

`--config=cola:method=bertadam` is the same.
Steps and the paper's numbers: stablefit/configs/expected.py.
"""

from stablefit.configs.named import named

get_config = named("cola_bertadam")
