"""RTE, Standard: debiased Adam, 3 epochs (the paper's Table 2).

python -m stablefit.main --config=configs/rte.py --config.data_dir=DIR --config.seeds=$(seq -s, 0 19)

Steps and the paper's numbers: stablefit/configs/expected.py.
"""

from stablefit.configs.named import named

get_config = named("rte")
