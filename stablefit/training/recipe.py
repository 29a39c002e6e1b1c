"""What the settings of a run do at the four times: init, forward, loss, update; one expression each."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from stablefit import methods
from stablefit.data import batches
from stablefit.fields import Hypers, Spec
from stablefit.paths import Key, Tree

HEAD = ("head/.*",)  # has no pre-trained values to decay to


class Recipe(NamedTuple):
    """What is done at each time; a part whose fields are at their identity is the identity, and costs nothing."""

    init: Callable[[Key, Tree], Tree]  # params -> params, once
    forward: methods.ParamTransform  # params -> params, in each pass
    loss: methods.LossTransform  # loss -> loss, in each step
    update: Callable[[Tree], optax.GradientTransformation]  # updates -> updates, in each step; of the tree to train


def make_recipe(
    spec: Spec,
    hypers: Hypers,
    total_steps: int,
    std: float,
    divergences: Callable[[jax.Array, jax.Array, jax.Array], jax.Array],
) -> Recipe:
    """The four times.

    Args:
        spec, hypers: the settings.
        total_steps: T, the length of the schedule.
        std: standard deviation of what is re-initialised.
        divergences: outputs of two passes, and the targets -> what R-Drop makes small, [E]; the objective's.
    """
    return Recipe(
        init=lambda key, params: methods.reinit(key, params, std=std, **reinit_arguments(spec)),
        forward=methods.mixout(hypers.mixout_rate, unit=spec.mixout_unit, gradient=spec.mixout_gradient),
        loss=methods.chain_losses(methods.r_drop(hypers.r_drop, divergences), methods.sam(hypers.sam_rho)),
        update=lambda params: make_optimizer(spec, hypers, params, total_steps),
    )


def make_optimizer(spec: Spec, hypers: Hypers, params: Tree, total_steps: int) -> optax.GradientTransformation:
    """Clipping, Adam, the decays, the learning rates of layers and paths, the schedule: in that order.

    The order matters. The global norm is clipped over all parameters, before anything splits them. What multiplies
    learning rates comes after Adam, which would undo it. The decays come before those multipliers, so they are scaled
    by the scheduled rate and by the layer's factor, as with the parameter groups of torch.

    Args:
        spec, hypers: the settings; a hyper-parameter at its identity leaves its part out.
        params: the tree to be trained, for names and depths only.
        total_steps: T, the length of the schedule.
    """
    anchored = methods.anchor_weights(
        params,
        exclude=() if spec.init_decay_everywhere else HEAD,
        fresh=None if spec.init_decay_everywhere else reinit_mask(spec, params),
    )
    return methods.selective_projection_decay(
        optax.chain(
            methods.clip_by_global_norm(hypers.clip_norm),
            methods.clip_by_component_norm(hypers.component_clip_norm),
            methods.add_decay_to_init(hypers.init_decay_coupled, weights=anchored),
            methods.scale_by_adam(
                hypers.b1,
                hypers.b2,
                hypers.eps,
                bias_correction=(hypers.correct_first, hypers.correct_second),
                eps_hat=spec.eps_hat,
            ),
            methods.add_weight_decay(hypers.weight_decay),
            methods.add_decay_to_init(hypers.init_decay, weights=anchored),
            methods.scale_by_layer_decay(hypers.layer_decay, convention=spec.layer_decay_convention),
            methods.scale_by_path(spec.lr_multipliers),
            optax.scale_by_learning_rate(make_schedule(spec, hypers, total_steps)),
            methods.pull_to_init(hypers.init_decay_unscaled, weights=anchored),
        ),
        hypers.projection_decay,
        weights=anchored,
    )


def make_schedule(spec: Spec, hypers: Hypers, total_steps: int) -> optax.Schedule:
    """The learning rate as a function of the updates done.

    `uncorrected` is the linear schedule times r(s + 1): corrected Adam then takes the steps of uncorrected Adam, its
    epsilon aside, and shows whether BERTAdam is more than a learning rate.
    """
    shape = methods.bert_schedule if spec.schedule == "bert" else methods.warmup_linear
    warmup = batches.warmup_steps(total_steps, hypers.warmup_ratio)
    schedule = shape(hypers.learning_rate, total_steps=total_steps, warmup_steps=warmup)
    if spec.schedule != "uncorrected":
        return schedule
    return lambda step: schedule(step) * methods.bias_correction_ratio(jnp.asarray(step) + 1, hypers.b1, hypers.b2)


def reinit_mask(spec: Spec, params: Tree) -> Tree:
    """Which leaves start anew: a tree of booleans."""
    return methods.reinit_mask(params, **reinit_arguments(spec))


def reinit_arguments(spec: Spec) -> dict[str, Any]:
    """The part of the settings that `methods.reinit` takes."""
    return {
        "layers": spec.reinit_layers,
        "indices": spec.reinit_blocks,
        "patterns": spec.reinit_patterns,
        "pooler": True if spec.reinit_pooler else None,
    }
