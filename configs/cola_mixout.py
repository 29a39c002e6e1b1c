"""CoLA, mixout in place of dropout (the paper's Table 2, Mixout).

python -m stablefit.main --config=configs/cola_mixout.py --config.data_dir=DIR --config.seeds=$(seq -s, 0 19)

`--config=cola:method=mixout` is the same.
Steps and the paper's numbers: stablefit/configs/expected.py.
"""

from stablefit.configs.named import named

get_config = named("cola_mixout")
