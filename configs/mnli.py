"""MNLI, all of it: the intermediate task of the paper's Table 2, and the runs of its Appendix D.

python -m stablefit.main --config=configs/mnli.py --config.data_dir=DIR --config.seeds=0,1,2

Steps and the paper's numbers: stablefit/configs/expected.py.
"""

from stablefit.configs.named import named

get_config = named("mnli")
