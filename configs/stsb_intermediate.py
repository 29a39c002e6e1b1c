"""STS-B after MNLI as the intermediate task (the paper's Table 2, Int. Task).

python -m stablefit.main --config=configs/stsb_intermediate.py --config.data_dir=DIR --config.seeds=$(seq -s, 0 19)

`--config=stsb:method=intermediate` is the same.
Steps and the paper's numbers: stablefit/configs/expected.py.
"""

from stablefit.configs.named import named

get_config = named("stsb_intermediate")
