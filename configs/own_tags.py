"""Your own texts with entities in five folds; stablefit/configs/own_tags.py holds the values.

stablefit run --config=own_tags --config.data_dir=people.conll
"""

from stablefit.configs.named import named

get_config = named("own_tags")
