"""What one member is: its network, the parameters it starts from, the four times, and what is saved of it."""

import dataclasses
import functools

import jax
import jax.numpy as jnp

from stablefit.errors import InputError
from stablefit.fields import Hypers
from stablefit.models import heads, vocabulary
from stablefit.models.config import EncoderConfig
from stablefit.objectives.objective import Objective
from stablefit.paths import Key, Tree
from stablefit.training.recipe import Recipe, make_recipe
from stablefit.training.settings import Settings


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
    """The part of a job that knows nothing of its examples."""

    settings: Settings
    objective: Objective
    encoder: EncoderConfig  # with as many word pieces as are trained
    pretrained: Tree  # {"encoder": ...}, and {"head": ...} if an intermediate task's head is kept
    words: vocabulary.Vocabulary | None  # the pieces that are trained; None: all

    @functools.cached_property
    def model(self) -> heads.Head:
        """The module whose `apply` gives the outputs.

        Raises:
            InputError: blocks are to be a loop, and no two are alike.
        """
        spec = self.settings.spec
        model = self.objective.model(self.encoder, spec.dropout, jnp.dtype(spec.compute_dtype))
        attention = None if spec.attention_dropout < 0 else spec.attention_dropout
        model = model.clone(attention_dropout=attention, remat=spec.remat, scan=spec.scan_layers)
        if spec.scan_layers and not model.apply({}, method=lambda head: head.encoder.looped()):
            raise InputError(
                "scan_layers=True would change nothing: no two blocks of this encoder that follow each other differ in "
                f"their numbers alone (model_type={self.encoder.model_type!r}); take it out"
            )
        return model

    def make_params(self, key: Key, pretrained: Tree) -> Tree:
        """The parameters that one member starts from: pre-trained, with a new head and what is re-initialised."""
        params = self.objective.start(key, self.encoder, pretrained)
        return self.recipe(self.settings.hypers, 0).init(key, params)

    def recipe(self, hypers: Hypers, total_steps: int) -> Recipe:
        """What is done at the four times."""
        std, divergences = self.encoder.initializer_range, self.objective.divergences
        return make_recipe(self.settings.spec, hypers, total_steps, std=std, divergences=divergences)

    @functools.cached_property
    def shapes(self) -> Tree:
        """The shapes of one member's parameters; to ask for them checks every pattern and index against the model."""
        return jax.eval_shape(self.make_params, jax.random.key(0), self.pretrained)

    def whole(self, params: Tree) -> Tree:
        """One member's parameters as they are saved: in the user's unit, with the embeddings of all word pieces."""
        params = self.objective.whole(params)
        if self.words is None:
            return params
        table = params["encoder"]["embeddings"]["word_embeddings"]["embedding"]
        return vocabulary.with_table(params, self.words.expand(table))

    @property
    def whole_shapes(self) -> Tree:
        """The shapes of what is saved."""
        if self.words is None:
            return self.shapes
        return vocabulary.with_table(self.shapes, jax.ShapeDtypeStruct(self.words.table.shape, self.words.table.dtype))
