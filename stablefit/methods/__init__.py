"""The methods, on any pytree of named parameters: jax and optax only.

Four times to act: once at the start (`reinit`: params -> params), in each forward pass (`mixout`, a `ParamTransform`),
on the loss (`r_drop` and `sam`, each a `LossTransform`), on each update (`scale_by_adam` and the other optax
transforms). Every method has a value that is the identity; as a
Python constant it costs nothing.
"""

from stablefit.methods.adam import ScaleByAdamState as ScaleByAdamState
from stablefit.methods.adam import adamw as adamw
from stablefit.methods.adam import bert_adam as bert_adam
from stablefit.methods.adam import bias_correction_ratio as bias_correction_ratio
from stablefit.methods.adam import scale_by_adam as scale_by_adam
from stablefit.methods.clip import clip_by_component_norm as clip_by_component_norm
from stablefit.methods.clip import clip_by_global_norm as clip_by_global_norm
from stablefit.methods.init_decay import AddDecayToInitState as AddDecayToInitState
from stablefit.methods.init_decay import SelectiveProjectionDecayState as SelectiveProjectionDecayState
from stablefit.methods.init_decay import add_decay_to_init as add_decay_to_init
from stablefit.methods.init_decay import anchor_weights as anchor_weights
from stablefit.methods.init_decay import pull_to_init as pull_to_init
from stablefit.methods.init_decay import selective_projection_decay as selective_projection_decay
from stablefit.methods.layer_decay import layer_multipliers as layer_multipliers
from stablefit.methods.layer_decay import path_multipliers as path_multipliers
from stablefit.methods.layer_decay import scale_by_layer_decay as scale_by_layer_decay
from stablefit.methods.layer_decay import scale_by_path as scale_by_path
from stablefit.methods.loss_transform import LossTransform as LossTransform
from stablefit.methods.loss_transform import Pass as Pass
from stablefit.methods.loss_transform import chain_losses as chain_losses
from stablefit.methods.loss_transform import same_loss as same_loss
from stablefit.methods.mixout import MixoutState as MixoutState
from stablefit.methods.mixout import mixout as mixout
from stablefit.methods.param_transform import AsGradientTransformationState as AsGradientTransformationState
from stablefit.methods.param_transform import ParamTransform as ParamTransform
from stablefit.methods.param_transform import as_gradient_transformation as as_gradient_transformation
from stablefit.methods.param_transform import chain as chain
from stablefit.methods.param_transform import identity as identity
from stablefit.methods.r_drop import r_drop as r_drop
from stablefit.methods.r_drop import symmetric_binary_kl as symmetric_binary_kl
from stablefit.methods.r_drop import symmetric_kl as symmetric_kl
from stablefit.methods.reinit import reinit as reinit
from stablefit.methods.reinit import reinit_mask as reinit_mask
from stablefit.methods.sam import sam as sam
from stablefit.methods.schedules import bert_schedule as bert_schedule
from stablefit.methods.schedules import warmup_linear as warmup_linear
from stablefit.methods.weight_decay import add_weight_decay as add_weight_decay
from stablefit.methods.weight_decay import decay_mask as decay_mask
