"""RTE without Adam's bias correction, which the paper calls BERTAdam (its Figure 2).

python -m stablefit.main --config=configs/rte_bertadam.py --config.data_dir=DIR --config.seeds=$(seq -s, 0 49)

Only the correction is off, as in the paper's comparison; epsilon stays 1e-8. TF BERT also has 1e-6 and weight decay
0.01: --config.eps=1e-6 --config.weight_decay=0.01.

234 steps of 32 examples a seed.
Paper: 48 % of 50 runs below 55 % accuracy; median about 52 in the box plot.
Ours: not run yet.
"""

from configs import base, rte


def get_config(arg: str = ""):
    config = rte.get_config()
    config.bias_correction = "none"
    return base.with_argument(config, arg)
