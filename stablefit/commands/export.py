"""The command `stablefit export`: a model as a Hugging Face directory."""

import sys
from collections.abc import Sequence
from typing import Any

from stablefit import program

USAGE = """\
stablefit export DIR FOLDER

usage: stablefit export SOURCE FOLDER [--member=N|average|all] [--onnx]

Writes a model as a Hugging Face directory, which transformers opens with
AutoModelForSequenceClassification or AutoModelForTokenClassification, and
`stablefit predict FOLDER FILE` too: weights in safetensors, config.json with
the names of the labels, the tokenizer, a model card (README.md), and of a
tagger the CRF's scores with a decoder in NumPy. It is opened again, and must
give the same answers, or nothing is left.

  SOURCE          a fit's folder, a run's, or one of its seeds
  FOLDER          must not be there, or be empty
  --member=N      of several members the one with this number, from 0;
                  average: one model, of their mean weights; all: a folder each,
                  FOLDER/member_0 and on. Default: average for a fit, whose
                  members began as one; else all
  --onnx          writes FOLDER/model.onnx too: padded texts to logits, any
                  number of any length, under the names that optimum uses. It
                  needs more packages (the message says which); where ONNX
                  Runtime is installed, its logits are compared with the
                  model's, and if they differ nothing is left
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 written, 2 bad input."""
    return program.run(USAGE, _export, argv)


def _member(text: str) -> Any:
    return text if text in ("average", "all") else int(text)


_member.__name__ = "number of a member, average or all"  # as argparse's message ends


def _export(argv: Sequence[str]) -> int:
    arguments = program.Arguments()
    arguments.add_argument("source")
    arguments.add_argument("folder")
    arguments.add_argument("--member", type=_member, default=None)
    arguments.add_argument("--onnx", action="store_true")
    asked = arguments.parse_args(argv)

    from stablefit.training import host

    host.prepare()
    from stablefit.serve import card, export

    said = export.export(asked.source, asked.folder, asked.member, card.facts_of(asked.source), asked.onnx)
    print("\n".join(said), file=sys.stdout)
    return 0
