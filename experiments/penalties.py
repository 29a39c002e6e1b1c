"""Which penalty the regression has that a fit's head starts as, by either rule, on the sets of recipe.py.

    STABLEFIT_DATA=DIR python -m experiments.penalties experiments/results/penalties.json

Of the training examples of the first of five folds: C with the least loss in cross-validation, and the smallest whose
loss is within a standard error of that; the features' mean squared length is 1.
"""

import json
import sys
from pathlib import Path

from experiments.recipe import PROBE, SETS
from stablefit.flags import load_config
from stablefit.training import job, probe, settings
from stablefit.training.files import write_whole

RULES = {"least loss": False, "one standard error": True}


def main() -> None:
    found: dict[str, dict[str, float]] = {}
    for name, data in SETS.items():
        changes = {field: value for field, value in data.items() if field != "config"} | PROBE
        config = load_config(data["config"]).to_dict()
        loaded = job.load(settings.read(config | changes | {"folds": 5, "seeds": (0,), "max_length": 128}))
        rows = loaded.objective.chosen[0]["train"]
        targets = loaded.objective.targets(loaded.objective.encoded["train"])[rows]
        known = (probe.frozen_features(loaded)[rows], targets, loaded.task.kind, loaded.task.n_outputs)
        found[name] = {rule: probe.strength_for(*known, one_se=one_se) for rule, one_se in RULES.items()}
        print(name, found[name], flush=True)
        write_whole(Path(sys.argv[1]), json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
