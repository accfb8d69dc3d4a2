"""A whole training as one pure function, for jax.jit, jax.vmap and jax.jvp."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_batching import custom_vmap, sequential_vmap

from w2v_jax import beginning, checks, subsampling, sweeping, training, visits, xla_flags
from w2v_jax.config import Config, make
from w2v_jax.counting import counted
from w2v_jax.data.corpus import Corpus
from w2v_jax.defaults import resolve
from w2v_jax.types import HyperParams, Metrics, Params, StaticConfig, UserError, no_metrics

ALL = 2**30  # more steps than a chunk has


def make_hyper(corpus: Corpus, config: Config | None = None, **changes) -> HyperParams:
    """The traced hyperparameters of a config on a corpus: noise distribution, rates, windows.

    changes: fields of Config. Raises UserError for values that Config does not have, and where the
    text has too few words for the negatives.
    """
    check_corpus(corpus)
    config = resolve(make(config, changes), corpus)
    beginning.check_negatives(config, corpus.vocab)
    return beginning.make_hyper(config, corpus.vocab)


def stack(hypers: list[HyperParams]) -> HyperParams:
    """Hyperparameters of several trainings as one, each leaf with a leading axis, for a vmap.

    Raises UserError where there are none, and where some alone are of hierarchical softmax or have
    subwords of their own.
    """
    if not hypers:
        raise UserError("`hypers`: holds none")
    if len({hyper.paths is None for hyper in hypers}) > 1:
        raise UserError("`hypers`: are of hierarchical softmax and of other losses")
    if len({jax.tree.structure(hyper) for hyper in hypers}) > 1:
        raise UserError("`hypers`: are of different subwords")
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *hypers)


def make_train(
    corpus: Corpus, config: Config | None = None, **changes
) -> Callable[[jax.Array, HyperParams], tuple[Params, Metrics]]:
    """A pure function of a key and hyperparameters: a whole training, of `config.epochs` epochs.

    train(key, hyper) -> (Params of [V, D] tables, Metrics of [epochs] sums), for texts that fit the
    device: they become a part of it. With subwords its tables are SubwordParams. It works under
    jax.jit, under jax.vmap with in_axes (0, None),
    (None, 0) and (0, 0), and under jax.jvp. What `hyper` does not hold (dim, epochs, the optimiser
    ..) is config's, with the fields in `changes`; `make_hyper` makes what it holds. A window and
    negatives in hyper may be at most config's, or its limits. Alone it gives the bits of
    `w2v_jax.train` with `jax.random.key(seed)` on a CPU (of several chunks:
    where each holds a step). Tables that the text makes (init=ppmi_svd) are by config's fields,
    whatever hyper holds. Raises UserError where the text leaves nothing to train on.
    """
    check_corpus(corpus)
    config = resolve(make(config, changes), corpus)
    beginning.check(config, corpus)
    checks.check_alone(config.static(), "a training as one function")
    text, bounds = sweeping.text_of(corpus, jax.devices()[:1])[0], corpus.bounds
    first = beginning.tables(config, corpus)
    static = config.static()._replace(platform=training.platform_of(text))
    xla_flags.warn_of_slow_scatter(static.platform)
    sizes = np.diff(bounds)
    chunk = _chunk(static)
    draw = sequential_vmap(
        lambda key, epoch, index, hyper: subsampling.sample_chunk(
            *(key, epoch, index, text.tokens[index], text.line[index], hyper), static=static
        )
    )

    def train(key: jax.Array, hyper: HyperParams) -> tuple[Params, Metrics]:
        _check(key, hyper, len(corpus.vocab.words), static)

        def epoch(state, number):
            order = visits.chunk_order(key, number, len(sizes), static.order)
            progress = _progress(sizes, order, number, config.epochs, static.platform)

            def visit(slot, carry):
                state, sums = carry
                index = order[slot]
                sampled = draw(key, number, index, hyper)
                state, metrics = chunk(state, sampled, progress[slot], hyper)
                return state, jax.tree.map(jnp.add, sums, metrics)

            start = state, no_metrics()
            return jax.lax.fori_loop(0, len(sizes), visit, start)

        state = beginning.initial_state(config, len(corpus.vocab.words), key, hyper, first)
        numbers = jnp.arange(config.epochs, dtype=jnp.int32)
        state, metrics = jax.lax.scan(epoch, state, numbers)
        return state.params, metrics

    return train


def check_corpus(corpus: Corpus) -> None:
    """Raises UserError for sentences, say, in the place of a Corpus."""
    if not isinstance(corpus, Corpus):
        raise UserError("`corpus`: give a Corpus: Corpus.from_sentences(..) or .from_files(..)")


def _check(key: jax.Array, hyper: HyperParams, vocab_size: int, static: StaticConfig) -> None:
    """Raises UserError for what is of another text or needs more room than there is."""
    if not jnp.issubdtype(getattr(key, "dtype", np.int32), jax.dtypes.prng_key):
        raise UserError("`key`: give a key, jax.random.key(1)")
    if hyper.noise.shape[-1] != vocab_size:
        raise UserError(
            f"`hyper`: is of a text of {counted(hyper.noise.shape[-1], 'type')}, this one has "
            f"{vocab_size:,}"
        )
    checks.check_paths(static, hyper)
    checks.check_ngrams(static, hyper)
    for name in ("window", "negatives"):
        value, room = getattr(hyper, name), getattr(static, name)
        if isinstance(value, jax.core.Tracer):  # one can't tell
            continue
        if (most := int(np.max(np.asarray(value)))) > room:
            raise UserError(f"`{name}={most}`: the program has room for {room} (`{name}_limit`)")


def _chunk(static: StaticConfig) -> Callable:
    """(state, stream, progress [2], hyper) -> state, sums: all steps of a chunk.

    Under vmap all trainings run to the end of the longest; those past their own end stay.
    """

    @custom_vmap
    def chunk(state, sampled, progress, hyper):
        state, sums, _ = training.train_steps(
            state, sampled, jnp.int32(0), progress, hyper, static=static, steps=ALL
        )
        return state, sums

    @chunk.def_vmap
    def rule(count, batched, *arguments):
        whole = jax.tree.map(partial(_repeated, count), arguments, tuple(batched))
        result = jax.vmap(partial(_together, static=static))(*whole)
        return result, jax.tree.map(lambda _: True, result)

    return chunk


def _together(state, sampled, progress, hyper, *, static: StaticConfig):
    return sweeping.vmapped_chunk(state, sampled, progress, hyper, True, static)


def _repeated(count: int, leaf: jax.Array, batched: bool) -> jax.Array:
    return leaf if batched else jnp.broadcast_to(leaf[None], (count, *leaf.shape))


def _progress(
    sizes: np.ndarray, order: jax.Array, epoch: jax.Array, epochs: int, platform: str
) -> jax.Array:
    """Fractions of the run's tokens done before and after each chunk of an epoch, [chunks, 2].

    In float64 where there is such a number, as `training.train` has them.
    """

    def fractions(whole: Any, real: Any) -> jax.Array:
        after = jnp.cumsum(jnp.asarray(sizes, whole)[order])
        done = epoch.astype(whole) * int(sizes.sum()) + jnp.stack(
            [after - jnp.asarray(sizes, whole)[order], after], axis=1
        )
        return (done.astype(real) / float(epochs * sizes.sum())).astype(jnp.float32)

    if platform == "tpu":
        return fractions(jnp.int32, jnp.float32)
    with jax.enable_x64(True):
        return fractions(jnp.int64, jnp.float64)
