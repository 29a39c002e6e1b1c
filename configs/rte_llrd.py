"""RTE, layer-wise learning-rate decay (the paper's Table 2, LLRD).

python -m stablefit.main --config=configs/rte_llrd.py --config.data_dir=DIR --config.seeds=$(seq -s, 0 19)

`--config=rte:method=llrd` is the same.
Steps and the paper's numbers: stablefit/configs/expected.py.
"""

from stablefit.configs.named import named

get_config = named("rte_llrd")
