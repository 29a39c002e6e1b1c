"""CoLA, the top 5 blocks and the pooler re-initialised (the paper's Table 2, Re-init).

python -m stablefit.main --config=configs/cola_reinit5.py --config.data_dir=DIR --config.seeds=$(seq -s, 0 19)

`--config=cola:method=reinit,layers=5` is the same.
Steps and the paper's numbers: stablefit/configs/expected.py.
"""

from stablefit.configs.named import named

get_config = named("cola_reinit5")
