"""STS-B, layer-wise learning-rate decay (the paper's Table 2, LLRD).

python -m stablefit.main --config=configs/stsb_llrd.py --config.data_dir=DIR --config.seeds=$(seq -s, 0 19)

`--config=stsb:method=llrd` is the same.
Steps and the paper's numbers: stablefit/configs/expected.py.
"""

from stablefit.configs.named import named

get_config = named("stsb_llrd")
