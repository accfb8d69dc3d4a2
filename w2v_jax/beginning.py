"""Config and corpus -> what a training starts from: hyperparameters, tables, optimiser state."""

import jax
import jax.numpy as jnp
import numpy as np

from w2v_jax import checks, columns, huffman, model, ppmi, subword_rows, update
from w2v_jax.config import Config
from w2v_jax.counting import counted
from w2v_jax.data import trainable, vocab
from w2v_jax.data.corpus import Corpus
from w2v_jax.losses import LOSSES
from w2v_jax.noise import NOISE
from w2v_jax.subword_rows import Ngrams
from w2v_jax.types import (
    HyperParams,
    NgramIndex,
    Params,
    SubwordParams,
    TrainState,
    UserError,
    Vocab,
)

OF_TEXT = {"ppmi_svd": ppmi}  # init -> its check(config, vocabulary) and tables(config, corpus)


def check(config: Config, corpus: Corpus) -> None:
    """Raises UserError where the text leaves nothing to train on, or too few words.

    For noise, or for tables that are made of the text.
    """
    check_negatives(config, corpus.vocab)
    check_init(config)
    if config.init in OF_TEXT:
        OF_TEXT[config.init].check(config, corpus.vocab)
    keep = vocab.keep_probability(corpus.vocab.counts, config.subsample, config.subsample_rule)
    trainable.check(corpus, keep, config.static(), config.window, config.epochs)


def check_init(config: Config) -> None:
    """Raises UserError where the first tables would lack the n-grams' rows."""
    if config.init in OF_TEXT and config.subwords:
        raise UserError(f"`init={config.init}`: makes tables of words, not of `subwords`")


def check_negatives(config: Config, vocabulary: Vocab) -> None:
    """Raises UserError where there are too few words: the sampler draws until it has them."""
    needed = NOISE[config.noise].needs(config.window, config.static().negatives)
    noise = vocab.noise_distribution(vocabulary.counts, config.noise_power)
    reachable = checks.reachable(noise)
    if "noise" in LOSSES[config.loss].uses and reachable < needed:
        raise UserError(
            f"`noise={config.noise}` needs {counted(needed, 'word')} that noise can hit, the text "
            f"has {reachable} (`min_count={config.min_count}`, "
            f"`noise_power={config.noise_power:g}`)"
        )


def make_hyper(config: Config, vocabulary: Vocab) -> HyperParams:
    """The traced values; distributions are normalised in float64 on the host."""
    keep = vocab.keep_probability(vocabulary.counts, config.subsample, config.subsample_rule)
    noise = vocab.noise_distribution(vocabulary.counts, config.noise_power)
    return HyperParams(
        learning_rate=jnp.float32(config.learning_rate),
        keep_prob=jnp.asarray(keep, jnp.float32),
        noise=jnp.asarray(noise, jnp.float32),
        noise_cdf=jnp.asarray(vocab.cumulative(noise)),
        window=jnp.int32(config.window),
        negatives=jnp.int32(config.negatives),
        beta1=jnp.float32(config.beta1),
        beta2=jnp.float32(config.beta2),
        epsilon=jnp.float32(config.epsilon),
        weight_decay=jnp.float32(config.weight_decay),
        final_rate=jnp.float32(config.final_rate),
        paths=jnp.asarray(huffman.paths(vocabulary.counts)) if LOSSES[config.loss].paths else None,
        ngrams=_on_device(ngrams(config, vocabulary).index) if config.subwords else None,
    )


def ngrams(config: Config, vocabulary: Vocab) -> Ngrams:
    """The n-grams of a vocabulary's words, where `config.subwords`."""
    return subword_rows.of_words(vocabulary.words, config.min_n, config.max_n, config.buckets)


def _on_device(index: NgramIndex) -> NgramIndex:
    return jax.tree.map(jnp.asarray, index)


def untrained(config: Config, corpus: Corpus) -> np.ndarray:
    """Words [V] bool that learn nothing: without a context, and without others' n-grams."""
    never = trainable.without_context(corpus)
    if not config.subwords or not never.any():
        return never
    return subword_rows.untrained(never, ngrams(config, corpus.vocab).index)


def tables(config: Config, corpus: Corpus) -> Params | None:
    """The first tables, [V, D] on the host, where `config.init` makes them of the text; or None."""
    return OF_TEXT[config.init].tables(config, corpus) if config.init in OF_TEXT else None


def blank(config: Config, vocab_size: int) -> Params | None:
    """Zeros in the place of `tables`, for a state that another is to replace."""
    if config.init not in OF_TEXT:
        return None
    zeros = np.zeros((vocab_size, config.dim), np.float32)
    return Params(zeros, zeros)


def initial_state(
    config: Config,
    vocab_size: int,
    key: jax.Array,
    hyper: HyperParams,
    first: Params | None = None,
) -> TrainState:
    """The tables as `config.init` draws them by the run's key, and the optimiser's state.

    first: `tables`, in the place of drawn ones. Raises UserError where `config.init` needs them and
    they are missing, and where `config.mesh` names more devices than there are.
    """

    def draw(init_key):
        params = model.init_params(init_key, vocab_size, config.dim, config.init)
        if hyper.ngrams is not None:
            ngrams = _init_ngrams(init_key, config, hyper.ngrams.count)
            params = SubwordParams(*params, ngrams)
        return begin(params)

    def begin(params):
        return update.init_state(params, hyper, config.static())

    if first is not None:
        if config.mesh:
            return columns.made(begin, first, config.mesh)
        return begin(jax.tree.map(jnp.array, first))
    init_key = jax.random.fold_in(key, 3)
    return columns.made(draw, init_key, config.mesh) if config.mesh else draw(init_key)


def _init_ngrams(init_key: jax.Array, config: Config, count: int) -> jax.Array:
    """The n-grams' rows, drawn as the words' own: [U, D]."""
    key = jax.random.fold_in(init_key, 1)
    return model.init_params(key, count, config.dim, config.init).input
