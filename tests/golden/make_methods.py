"""Write methods.npz: trajectories of the PyTorch originals, which `tests/methods/test_golden.py` compares with.

    python tests/golden/make_methods.py

Needs torch (CPU). The optimizers that are not in torch any more are written here from their description: AdamW as old
transformers had it, PriorWD and MixLinear as the released code of "Revisiting Few-sample BERT Fine-tuning" has them.
All in float64, so that what is stored is the algorithm and not its rounding.
"""

import math
from pathlib import Path

import jax
import numpy as np
import torch

from stablefit import paths

STEPS, TOTAL, WARMUP, PEAK = 50, 60, 6, 0.01
SHAPES = {
    "embeddings/embedding": (4, 2),
    "layer_0/kernel": (2, 3),
    "layer_0/bias": (3,),
    "layer_1/kernel": (3, 2),
    "layer_1/LayerNorm/scale": (2,),
    "head/kernel": (2, 2),
    "head/bias": (2,),
}
MIXOUT_RATES = (0.1, 0.5, 0.7)


def schedule(step: int) -> float:
    """The rate of the paper's schedule, as transformers' LambdaLR gives it."""
    if step < WARMUP:
        return PEAK * step / WARMUP
    return PEAK * max(TOTAL - step, 0) / (TOTAL - WARMUP)


def start_and_gradients() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Parameters, and one gradient for each step; sizes differ by leaf from 1 to 1e-4, as in a real network."""
    rng = np.random.default_rng(0)
    start = {name: rng.normal(size=shape) for name, shape in SHAPES.items()}
    gradients = {
        name: rng.normal(size=(STEPS, *shape)) * 10.0 ** -(i % 5) for i, (name, shape) in enumerate(SHAPES.items())
    }
    # Numbers that float32 holds exactly, so that both precisions start alike.
    return (
        {n: x.astype(np.float32) for n, x in start.items()},
        {n: x.astype(np.float32) for n, x in gradients.items()},
    )


def decays(name: str) -> bool:
    return not name.endswith(("/bias", "/scale"))


class OldAdamW(torch.optim.Optimizer):
    """AdamW of old transformers: eps beside the uncorrected sqrt(v); the decay comes last and has the raw rate."""

    def __init__(self, groups, lr, betas=(0.9, 0.999), eps=1e-8, correct_bias=True):
        super().__init__(groups, {"lr": lr, "betas": betas, "eps": eps, "correct_bias": correct_bias})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            b1, b2 = group["betas"]
            for p in group["params"]:
                state = self.state[p]
                if not state:
                    state.update(t=0, m=torch.zeros_like(p), v=torch.zeros_like(p))
                state["t"] += 1
                state["m"] = b1 * state["m"] + (1 - b1) * p.grad
                state["v"] = b2 * state["v"] + (1 - b2) * p.grad**2
                rate = group["lr"]
                if group["correct_bias"]:
                    rate = rate * math.sqrt(1 - b2 ** state["t"]) / (1 - b1 ** state["t"])
                p -= rate * state["m"] / (state["v"].sqrt() + group["eps"])
                p -= group["lr"] * group.get("weight_decay", 0.0) * p


class PriorWD:
    """Pulls to the parameters at construction, before each inner step, at the rate of the inner weight decay."""

    def __init__(self, inner):
        self.inner = inner
        self.rates = [group["weight_decay"] for group in inner.param_groups]
        for group in inner.param_groups:
            group["weight_decay"] = 0.0
        self.prior = {p: p.detach().clone() for group in inner.param_groups for p in group["params"]}

    @property
    def param_groups(self):
        return self.inner.param_groups

    @torch.no_grad()
    def step(self):
        for group, rate in zip(self.inner.param_groups, self.rates, strict=True):
            for p in group["params"]:
                p -= group["lr"] * rate * (p - self.prior[p])
        self.inner.step()


def groups(params, weight_decay, layer_decay=1.0):
    """One parameter group for each leaf; the rates of layer-wise decay for two blocks."""
    powers = {"head": 0, "layer_1": 1, "layer_0": 2, "embeddings": 3}
    return [
        {
            "params": [p],
            "weight_decay": weight_decay if decays(name) else 0.0,
            "factor": layer_decay ** powers[name.split("/")[0]],
        }
        for name, p in params.items()
    ]


OPTIMIZERS = {
    "adamw": lambda params: torch.optim.AdamW(groups(params, 0.1), lr=PEAK, eps=1e-8),
    "adamw_eps6": lambda params: torch.optim.AdamW(groups(params, 0.0), lr=PEAK, eps=1e-6),
    "adamw_layer_decay": lambda params: torch.optim.AdamW(groups(params, 0.1, 0.7), lr=PEAK, eps=1e-8),
    "adamw_clip": lambda params: torch.optim.AdamW(groups(params, 0.0), lr=PEAK, eps=1e-3),
    "old_adamw": lambda params: OldAdamW(groups(params, 0.0), lr=PEAK, eps=1e-8),
    "old_adamw_uncorrected": lambda params: OldAdamW(groups(params, 0.0), lr=PEAK, eps=1e-6, correct_bias=False),
    "old_adamw_decay_last": lambda params: OldAdamW(groups(params, 0.1), lr=PEAK, eps=1e-6, correct_bias=False),
    "prior_wd": lambda params: PriorWD(torch.optim.AdamW(groups(params, 5.0), lr=PEAK, eps=1e-8)),
}


def optimizer_trajectory(name: str) -> dict[str, np.ndarray]:
    """Parameters after every step, [STEPS, ...] for each leaf."""
    start, gradients = start_and_gradients()
    params = {n: torch.tensor(x, dtype=torch.float64, requires_grad=True) for n, x in start.items()}
    optimizer = OPTIMIZERS[name](params)
    seen: dict[str, list[np.ndarray]] = {n: [] for n in params}
    for step in range(STEPS):
        for leaf, p in params.items():
            p.grad = torch.tensor(gradients[leaf][step], dtype=torch.float64)
        if name == "adamw_clip":
            torch.nn.utils.clip_grad_norm_(params.values(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = schedule(step) * group["factor"]
        optimizer.step()
        for leaf, p in params.items():
            seen[leaf].append(p.detach().numpy().copy())
    return {leaf: np.stack(values) for leaf, values in seen.items()}


class MixLinearFunction(torch.autograd.Function):
    """Mixes a weight with its target; the backward is the official one, the gradient times the mask."""

    @staticmethod
    def forward(ctx, weight, target, mask, p):
        ctx.save_for_backward(mask)
        return target if p == 1 else ((1 - mask) * target + mask * weight - p * target) / (1 - p)

    @staticmethod
    def backward(ctx, gradient):
        return gradient * ctx.saved_tensors[0], None, None, None


class MixLinear(torch.nn.Module):
    """A linear layer whose weight is mixed with a target, by input feature; the bias is not mixed."""

    def __init__(self, linear: torch.nn.Linear, p: float):
        super().__init__()
        self.weight, self.bias, self.p = linear.weight, linear.bias, p
        self.target = linear.weight.detach().clone()

    def forward(self, x, kept):  # kept: one draw for each input feature
        mask = kept.repeat(self.weight.shape[0], 1)
        return torch.nn.functional.linear(x, MixLinearFunction.apply(self.weight, self.target, mask, self.p), self.bias)


def mixout_data() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Inputs [8, 4], targets [8, 3], kernel [4, 3], bias [3]."""
    rng = np.random.default_rng(1)
    return tuple(rng.normal(size=shape).astype(np.float32) for shape in ((8, 4), (8, 3), (4, 3), (3,)))


def mixout_masks(rate: float) -> np.ndarray:
    """Our draws for the kernel `layer_0/kernel`, [STEPS, 4]: both sides must have the same noise."""
    keys = [jax.random.fold_in(jax.random.key(0), step) for step in range(STEPS)]
    draws = [jax.random.uniform(paths.key_for(key, "mixout/layer_0/kernel"), (4, 1), np.float32) for key in keys]
    return np.stack([np.asarray(draw)[:, 0] >= rate for draw in draws])


def mixout_trajectory(rate: float) -> dict[str, np.ndarray]:
    """Least squares through a MixLinear with SGD, rate 0.05: losses [STEPS] and the kernel after each step."""
    x, y, kernel, bias = (torch.tensor(part, dtype=torch.float64) for part in mixout_data())
    linear = torch.nn.Linear(4, 3, dtype=torch.float64)
    with torch.no_grad():
        linear.weight.copy_(kernel.T)
        linear.bias.copy_(bias)
    layer = MixLinear(linear, rate)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.05)
    losses, kernels = [], []
    for kept in mixout_masks(rate):
        optimizer.zero_grad()
        loss = ((layer(x, torch.tensor(kept, dtype=torch.float64)) - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        kernels.append(layer.weight.detach().numpy().T.copy())
    return {"loss": np.asarray(losses), "kernel": np.stack(kernels)}


def everything() -> dict[str, np.ndarray]:
    """All arrays of the file, by `case:leaf`."""
    arrays = {}
    for name in OPTIMIZERS:
        arrays |= {f"{name}:{leaf}": values for leaf, values in optimizer_trajectory(name).items()}
    for rate in MIXOUT_RATES:
        arrays |= {f"mixout_{rate}:{part}": values for part, values in mixout_trajectory(rate).items()}
        arrays[f"mixout_{rate}:masks"] = mixout_masks(rate)
    start, gradients = start_and_gradients()
    arrays |= {f"start:{leaf}": x for leaf, x in start.items()}
    arrays |= {f"gradients:{leaf}": x for leaf, x in gradients.items()}
    return arrays | dict(zip(("x", "y", "kernel", "bias"), mixout_data(), strict=True))


if __name__ == "__main__":
    path = Path(__file__).with_name("methods.npz")
    np.savez_compressed(path, **everything())
    print(f"{path}: {path.stat().st_size} bytes, torch {torch.__version__}")
