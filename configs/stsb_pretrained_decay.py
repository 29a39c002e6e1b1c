"""STS-B, decay toward the pre-trained weights (the paper's Table 2, Pre-trained WD).

python -m stablefit.main --config=configs/stsb_pretrained_decay.py --config.data_dir=DIR --config.seeds=$(seq -s, 0 19)

`--config=stsb:method=pretrained_decay` is the same.
Steps and the paper's numbers: stablefit/configs/expected.py.
"""

from stablefit.configs.named import named

get_config = named("stsb_pretrained_decay")
