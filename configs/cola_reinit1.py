"""CoLA, the top block and the pooler re-initialised (the paper's Table 2, Re-init).

python -m stablefit.main --config=configs/cola_reinit1.py --config.data_dir=DIR --config.seeds=$(seq -s, 0 19)

`--config=cola:method=reinit,layers=1` is the same.
Steps and the paper's numbers: stablefit/configs/expected.py.
"""

from stablefit.configs.named import named

get_config = named("cola_reinit1")
