"""All programs that the items build, by shapes alone: to be compiled ahead for a device."""

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from experiments.benchmarks import zipf
from experiments.benchmarks.accelerator import (
    against_cpu,
    bits,
    blocks,
    large,
    moves,
    pairs,
    sanity,
    steps,
    sweeps,
)
from experiments.benchmarks.accelerator.sizes import Sizes
from w2v_jax import beginning, sweeping
from w2v_jax.types import Vocab

TRAINED = {2: against_cpu, 3: blocks, 4: bits, 5: bits, 7: pairs, 9: large}  # items with `configs`


class Ahead(NamedTuple):
    """A program that isn't compiled yet."""

    name: str
    function: Callable
    shapes: tuple  # of its arguments


def of_item(number: int, sizes: Sizes, platform: str) -> Iterator[Ahead]:
    """The programs of an item's process, for a platform as in `StaticConfig`.

    Items 10 and 11 train on a text, by programs like those of items 3 and 9.
    """
    if number == 1:
        for name, check in sanity.checks().items():
            shapes = tuple(jax.ShapeDtypeStruct(x.shape, x.dtype) for x in check.given)
            yield Ahead(name, check.function, shapes)
    elif number in TRAINED:
        for config, vocab_size in TRAINED[number].configs(sizes):
            about = f"{config.engine}, {config.model}, {config.update}, T {config.batch_size}"
            words = vocabulary(vocab_size, sizes.chunk_words)
            for part in steps.parts(config, words, sizes.chunk_words, platform):
                yield Ahead(f"{about}: {part[0]}", *part[1:])
    elif number == 6:
        yield from (Ahead(*program) for program in moves.programs(sizes))
    elif number == 8:
        yield from (sweep(count, sizes, platform) for count in sizes.trials)


@cache
def vocabulary(vocab_size: int, words: int) -> Vocab:
    """Of drawn ids; its counts are what the law says, however few are drawn."""
    return zipf.corpus(vocab_size, words, 1).vocab


def sweep(count: int, sizes: Sizes, platform: str) -> Ahead:
    """A chunk of so many trials, vmapped."""
    config, words = sweeps.config_of(sizes), vocabulary(sizes.vocab_size, sizes.chunk_words)
    static = config.static()._replace(platform=platform)
    make = partial(beginning.initial_state, config, len(words.words))

    def one():
        key, hyper = jax.random.key(0), beginning.make_hyper(config, words)
        trial = sweeping.Trials(key, hyper, None, jnp.array(True))
        return make(key, hyper), trial, jnp.zeros(2, jnp.int32), jnp.zeros(2), None

    work = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct((count, *x.shape), x.dtype), jax.eval_shape(one)
    )
    ids = jax.ShapeDtypeStruct((1, sizes.chunk_words), jnp.int32)
    chunk = partial(sweeping.train_chunk, static=static, vmap_width=count)
    function = jax.vmap(chunk, in_axes=(0, None))
    return Ahead(f"sweep of {count}", function, (work, sweeping.Text(ids, ids)))
