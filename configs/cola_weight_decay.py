"""CoLA, decay toward zero (the paper's Table 2, WD).

python -m stablefit.main --config=configs/cola_weight_decay.py --config.data_dir=DIR --config.seeds=$(seq -s, 0 19)

`--config=cola:method=weight_decay` is the same.
Steps and the paper's numbers: stablefit/configs/expected.py.
"""

from stablefit.configs.named import named

get_config = named("cola_weight_decay")
