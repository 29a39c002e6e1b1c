"""A trained model that answers: one member, or several that answer together."""

import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import jax
import numpy as np

from stablefit.data import built_tokenizer, encoding
from stablefit.data.encoding import Encoded, Tokenizer
from stablefit.data.readers import Examples
from stablefit.data.tags import tagging_encoding
from stablefit.data.tags.ner import TaggedExamples
from stablefit.data.tags.tagging_encoding import EncodedTags, Pieces
from stablefit.data.tags.words import Unit, split_text
from stablefit.errors import InputError
from stablefit.models import crf, hf, sources
from stablefit.models.config import EncoderConfig
from stablefit.models.families import family_of
from stablefit.models.heads import Head, Pooling, SequenceClassifier, TokenClassifier
from stablefit.paths import Tree
from stablefit.serve import answers, entities, rows
from stablefit.serve.answers import Answers, Entity
from stablefit.serve.places import Place, locate
from stablefit.training import host, manifest
from stablefit.training.bundle import Bundle

CRF = "crf.json"  # of an exported tagger: the CRF's scores
REST = "rest_head.npz"  # of an exported tagger: the head of words that are not the first of their piece


@dataclasses.dataclass(frozen=True)
class Model:
    """The members of a model with its tokenizer.

    Args:
        bundle: what it is.
        config: the encoder's sizes.
        network: the function of each member.
        members: M parameter trees, on the device.
        tokenizer: as `load_tokenizer` gives it.
        said: what was left aside on loading, in words.
    """

    bundle: Bundle
    config: EncoderConfig
    network: Head
    members: tuple[Tree, ...]
    tokenizer: Tokenizer
    said: tuple[str, ...] = ()

    def outputs(self, texts_a: Sequence[str], texts_b: Sequence[str] | None = None) -> np.ndarray:
        """The logits, or the numbers, of each member, float32 [M, N, C].

        Args:
            texts_a: N texts.
            texts_b: N second texts, if the model was trained on pairs.

        Raises:
            InputError: one text where two are needed, or two where one is; the model is a tagger.
        """
        if self.bundle.kind == "tagging":
            raise InputError("a tagger gives entities: call tag(texts)")
        self._check_texts(texts_a, texts_b)
        if not len(texts_a):
            return np.zeros((len(self.members), 0, len(self.bundle.labels) or 1), np.float32)
        return self.run(self.encode(texts_a, texts_b))

    def encode(self, texts_a: Sequence[str], texts_b: Sequence[str] | None = None) -> Encoded:
        """At least one text, or pair, as arrays; a tagger's are those of the windows over texts that have words."""
        if self.bundle.kind == "tagging":
            return self._windows(self.documents(texts_a))
        nothing = np.zeros(len(texts_a), np.float32)
        examples = Examples(list(texts_a), None if texts_b is None else list(texts_b), nothing, [])
        return encoding.encode(examples, self.tokenizer, self.bundle.max_length)

    def answer(self, texts_a: Sequence[str], texts_b: Sequence[str] | None = None) -> Answers:
        """What the members say together; arguments as of `outputs`."""
        return answers.answers(self.bundle, self.outputs(texts_a, texts_b))

    def predict(self, texts_a: Sequence[str], texts_b: Sequence[str] | None = None) -> Any:
        """Labels, numbers (float32 [N]), tuples of labels, or a tagger's lists of entities; one a text."""
        if self.bundle.kind == "tagging":
            return self.tag(texts_a)
        return self.answer(texts_a, texts_b).values

    def predict_proba(self, texts_a: Sequence[str], texts_b: Sequence[str] | None = None) -> np.ndarray:
        """The probability of each class or label, float32 [N, C], in the order of `bundle.labels`.

        Raises:
            InputError: the model gives numbers or entities.
        """
        if self.bundle.kind not in ("classification", "multilabel"):
            raise InputError(f"a model of kind {self.bundle.kind} gives no probabilities of classes")
        found = self.answer(texts_a, texts_b).probabilities
        assert found is not None
        return found

    def tag(self, texts: Sequence[str]) -> list[list[Entity]]:
        """The entities in each text, in order, none sharing a character with another.

        Raises:
            InputError: the model is no tagger.
        """
        if self.bundle.kind != "tagging":
            raise InputError(f"a model of kind {self.bundle.kind} finds no entities: call predict(texts)")
        self._check_texts(texts, None)
        documents = self.documents(texts)
        emissions = self.emissions(documents)
        found = entities.documents(self.transitions(), emissions, self.bundle.labels)
        full = [i for i, text in enumerate(texts) if text.strip()]
        out: list[list[Entity]] = [[] for _ in texts]
        for i, text, bounds, spans in zip(full, documents.texts, documents.bounds, found, strict=True):
            for span, probability, agreement in spans:
                start, end = int(bounds[span.start, 0]), int(bounds[span.end - 1, 1])
                share = agreement if len(self.members) > 1 else None
                out[i].append(Entity(start, end, span.type, text[start:end], probability, share))
        return out

    def documents(self, texts: Sequence[str]) -> TaggedExamples:
        """The texts as a tagger takes them, without those that have no word."""
        full = [text for text in texts if text.strip()]
        cut = [split_text(text, cast(Unit, self.bundle.unit)) for text in full]
        n = len(full)
        words, bounds = [one for one, _ in cut], [one for _, one in cut]
        return TaggedExamples(words, [[] for _ in full], [""] * n, full, bounds, list(range(n)), [()] * n)

    def emissions(self, documents: TaggedExamples) -> list[np.ndarray]:
        """[M, L, K] of each document with words, put together from the windows over it."""
        if not len(documents):
            return []
        encoded = self._windows(documents)
        joined = np.stack([encoded.joined(one) for one in self.run(encoded)])
        return [joined[:, d, : len(words)] for d, words in enumerate(documents.words)]

    def _windows(self, documents: TaggedExamples) -> EncodedTags:
        b = self.bundle
        unit, pieces = cast(Unit, b.unit), cast(Pieces, b.pieces)
        return tagging_encoding.encode_tags(documents, b.labels, self.tokenizer, b.max_length, unit, pieces)

    def transitions(self) -> list[Tree]:
        """Each member's CRF; of zeros without one, which leaves a softmax at each word."""
        none = jax.device_get(crf.init(jax.random.key(0), len(self.bundle.labels)))
        return [jax.device_get(member.get("crf", none)) for member in self.members]

    def run(self, encoded: Encoded) -> np.ndarray:
        """Each member's outputs for encoded examples, float32 [M, N, ...]; `[M, N, W, K]` of a tagger.

        Rows are packed, and the members' programs are the same; what does not fit one batch is done in several.
        """
        limit = max(self.bundle.max_length, int(encoded.lengths.max()))
        most = rows.MOST_ON_CPU if jax.default_backend() == "cpu" else rows.MOST
        batches = rows.batches(encoded.lengths, limit, most=most)
        started = [(batch, self._start(batch, encoded)) for batch in batches]
        words = encoded.words.shape[1:] if isinstance(encoded, EncodedTags) else ()
        n_outputs = len(self.bundle.labels) or 1
        out = np.zeros((len(self.members), len(encoded), *words, n_outputs), np.float32)
        for batch, members in started:
            for m, found in enumerate(members):
                values = np.asarray(found)[: len(batch.examples)]
                if words:
                    width = min(words[0], values.shape[1])
                    out[m, batch.examples, :width] = values[:, :width]
                else:
                    out[m, batch.examples] = values
        return out

    def _start(self, batch: rows.Batch, encoded: Encoded) -> list[jax.Array]:
        """The outputs of a batch by each member, begun and not waited for."""
        tokens, types, segments, positions = (np.zeros(batch.shape, np.int32) for _ in range(4))
        tokens[:] = self.tokenizer.pad_token_id
        number = np.zeros(batch.shape[0], np.int32)
        for i, row, column in zip(batch.examples, batch.rows, batch.columns, strict=False):
            length = int(encoded.lengths[i])
            here = slice(column, column + length)
            number[row] += 1
            tokens[row, here], types[row, here] = encoded.tokens[i, :length], encoded.types[i, :length]
            segments[row, here], positions[row, here] = number[row], np.arange(length)
        further = ()
        if isinstance(encoded, EncodedTags):
            most = max(encoded.windows[i].end - encoded.windows[i].start for i in batch.examples)
            words = np.zeros((len(batch.rows), max(rows.NARROWEST, 1 << (most - 1).bit_length())), np.int32)
            kept = encoded.words[batch.examples, : words.shape[1]]
            words[: len(kept), : kept.shape[1]] = kept
            further = (words,)
        inputs = (tokens, types, segments, positions, batch.rows, batch.columns, *further)
        return [_apply(member, *inputs, network=self.network) for member in self.members]

    def _check_texts(self, texts_a: Sequence[str], texts_b: Sequence[str] | None) -> None:
        if isinstance(texts_a, str):
            raise InputError("texts is one string; give a list of texts")
        if self.bundle.pair and texts_b is None:
            raise InputError("this model reads pairs of texts; give the second texts too")
        if not self.bundle.pair and texts_b is not None:
            raise InputError("this model reads one text at a time, not pairs; leave the second texts out")
        if texts_b is not None and len(texts_a) != len(texts_b):
            raise InputError(f"{len(texts_a)} first and {len(texts_b)} second texts; give as many of both")
        for part in (texts_a, texts_b or ()):
            for i, text in enumerate(part):
                if not isinstance(text, str):
                    raise InputError(f"text {i} is of type {type(text).__name__}; give strings")


def load(path: str | Path) -> Model:
    """The model of a fit, a run, a seed or an exported directory.

    Args:
        path: a fit's DIR (the model it kept), a run's WORKDIR (the best of every finished seed), WORKDIR/seed_0, or a
            directory that `stablefit export` wrote.

    Raises:
        InputError: none of these, or something in it cannot be read.
    """
    host.prepare_unless_set()
    place = locate(path)
    bundle = place.bundle
    config = hf.load_config(bundle.folder)
    read = _exported if place.is_exported else _trained
    # Together: where there is only what transformers reads, its import takes as long as the rest.
    with ThreadPoolExecutor(2) as aside:
        started = aside.submit(_tokenizer, bundle.folder, config.vocab_size)
        checked = aside.submit(_check, place)
        members = tuple(jax.device_put(read(place, folder, config)) for folder in place.members)
        checked.result()
        tokenizer = started.result()
    return Model(bundle, config, network(bundle, config), members, tokenizer, place.said)


def _check(place: Place) -> None:
    """Refuses a fit's model that is not as it was written; of a run each member is checked where it is read."""
    if place.members[0].is_file():
        manifest.check(place.bundle.folder.parent, "put back a copy of it, or fit anew")


def network(bundle: Bundle, config: EncoderConfig) -> Head:
    """The function of a bundle's parameters."""
    if bundle.kind == "tagging":
        return TokenClassifier(config, len(bundle.labels), shared=bundle.pieces == "text")
    return SequenceClassifier(config, len(bundle.labels) or 1, pool=cast(Pooling, bundle.pooling), serving=True)


def _tokenizer(folder: Path, vocab_size: int) -> Tokenizer:
    """As it was built when the model was kept, or built now."""
    return built_tokenizer.read(folder) or encoding.load_tokenizer(folder, vocab_size)


def _trained(place: Place, part: Path, config: EncoderConfig) -> Tree:
    params = hf.load_tree(part) if part.is_file() else _of_orbax(part)
    try:
        table = np.shape(params["encoder"]["embeddings"]["word_embeddings"]["embedding"])
    except KeyError:
        raise InputError(f"{part} holds no encoder; it is not of this model") from None
    if table != (config.vocab_size, config.token_size):
        raise InputError(f"{part} holds another encoder than {place.bundle.folder} says; they are not of one run")
    return params


def _of_orbax(folder: Path) -> Tree:
    from stablefit.training import checkpoints  # orbax takes longer to import than the model to load

    return checkpoints.load_params(folder)


def _exported(place: Place, folder: Path, config: EncoderConfig) -> Tree:
    """The parameters of a Hugging Face directory, with what `stablefit export` wrote beside them."""
    tags = place.bundle.kind == "tagging"
    encoder, _ = hf.load_encoder(folder, config)
    head = hf.load_head(folder, config, hf.TOKENS if tags else hf.SEQUENCES)
    params: dict[str, Any] = {"encoder": encoder, "head": head}
    if not tags:
        return params
    if not family_of(config).encoder.tags_pooled:
        encoder.pop("pooler", None)
    if place.bundle.pieces == "text":
        with np.load(folder / REST, allow_pickle=False) as rest:
            params["head"] = {name: np.concatenate([head[name], rest[name]], axis=-1) for name in ("kernel", "bias")}
    if place.bundle.crf:
        stored = sources.read_json(folder / CRF)
        params["crf"] = {name: np.asarray(stored[name], np.float32) for name in ("transitions", "start", "end")}
    return params


def _forward(params: Tree, *inputs: Any, network: Head) -> Any:
    return network.apply({"params": params}, *inputs, deterministic=True)


_apply = jax.jit(_forward, static_argnames="network")
