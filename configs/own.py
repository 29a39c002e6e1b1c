"""Your own labelled texts in five folds; stablefit/configs/own.py holds the values.

stablefit run --config=own --config.data_file=tickets.csv
"""

from stablefit.configs.named import named

get_config = named("own")
