"""Subwords in training: a word's input embedding is the mean of its own row and its n-grams' rows.

    h_w = (v_w + sum_{g in G_w} z_g) / (1 + |G_w|)

The engines see h_w in the place of v_w and give its gradient; here it is spread over the rows. A
batch's work grows with the n-grams of its distinct words, which are taken a part at a time. Only
lists of numbers have room for as many as the longest words of the text could have. Source:
Bojanowski et al. 2017, 3.2; fastText divides by 1 + |G_w|, which the paper does not.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct

from w2v_jax import sparse_update, table_ops
from w2v_jax.model import Composed
from w2v_jax.table_ops import look_up
from w2v_jax.types import NgramIndex, Params, SubwordParams, Vocab
from w2v_jax.vectors.subwords import Subwords, ngrams

PART = 2**18  # floats of the n-grams' rows that are gathered together: a core's cache has them
LARGE_PART = 2**26  # the same on accelerators

WORDS = 1024  # composed at a time, of a whole vocabulary


class Ngrams(NamedTuple):
    """The n-grams of a vocabulary: which have rows, and which rows a word has."""

    index: NgramIndex
    buckets: np.ndarray  # [U] int64, the bucket of each row, ascending


@lru_cache(maxsize=1)  # a sweep's trials share their text
def of_words(words: tuple[str, ...], min_n: int, max_n: int, buckets: int) -> Ngrams:
    """The n-grams of words [V]. A bucket that no word has an n-gram in gets no row."""
    found = ngrams(words, min_n, max_n, buckets)
    used, row = np.unique(found.bucket, return_inverse=True)
    order = np.argsort(found.word, kind="stable")
    sizes = np.bincount(found.word, minlength=len(words))
    begin = np.concatenate([[0], np.cumsum(sizes)])
    sums = np.cumsum(np.sort(sizes)[::-1])
    numbers = [2**i for i in range(len(words).bit_length())] + [len(words)]
    index = NgramIndex(  # of NumPy's arrays: one of a trace would outlive it here
        begin=begin.astype(np.int32),
        rows=(row[order] if len(row) else np.zeros(1)).astype(np.int32),
        count=max(1, len(used)),  # a gather needs a row to read
        most=tuple(int(sums[number - 1]) for number in numbers),
    )
    return Ngrams(index, used)


@struct.dataclass
class NgramState:
    """What the n-grams' rows remember between steps."""

    rows: sparse_update.RowState
    sums: jax.Array  # [U, D] scratch: the gradients of a step's distinct rows, 0 between steps


def init(table: jax.Array, transformation: optax.GradientTransformation) -> NgramState:
    """The state before the first step; table [U, D]."""
    return NgramState(sparse_update.init(table, transformation), jnp.zeros_like(table))


class Occurrences(NamedTuple):
    """The n-grams of some words, a word's one after the other."""

    slot: jax.Array  # [parts * part] int32, which of the words each is of
    row: jax.Array  # [parts * part] int32, its row; U behind the last
    part: int  # of them at a time
    parts: jax.Array  # [] int32, parts with an n-gram in them

    def each_part(self, body: Callable, carry):
        """carry = body(carry, slot [part], row [part]) of each part with an n-gram in it."""

        def one(i, carry):
            cut = (jax.lax.dynamic_slice_in_dim(x, i * self.part, self.part) for x in self[:2])
            return body(carry, *cut)

        return jax.lax.fori_loop(0, self.parts, one, carry)


def occurrences(
    ids: jax.Array, of: jax.Array, index: NgramIndex, dim: int, platform: str = "cpu"
) -> Occurrences:
    """The n-grams of the words ids [n] where `of` [n] is true, no word twice."""
    sizes = jnp.where(of, sizes_of(ids, index), 0)
    ends = jnp.cumsum(sizes)
    begins = look_up(index.begin, ids) - (ends - sizes)  # in index.rows, less the number here
    most = max(1, index.most[min((len(ids) - 1).bit_length(), len(index.most) - 1)])
    floats = PART if platform == "cpu" else LARGE_PART
    part = min(most, max(1, floats // dim))
    room = -(-most // part) * part
    parts = table_ops.most(-(-ends[-1] // part))

    def fill(i, lists):
        number = i * part + jnp.arange(part, dtype=jnp.int32)
        slot = jnp.searchsorted(ends, number, side="right").astype(jnp.int32)
        row = look_up(index.rows, look_up(begins, slot) + number)
        row = jnp.where(number < ends[-1], row, index.count)
        new = jnp.minimum(slot, len(ids) - 1), row
        return tuple(
            jax.lax.dynamic_update_slice_in_dim(x, y, i * part, 0)
            for x, y in zip(lists, new, strict=True)
        )

    lists = jnp.zeros(room, jnp.int32), jnp.full(room, index.count, jnp.int32)
    return Occurrences(*jax.lax.fori_loop(0, parts, fill, lists), part, parts)


def sizes_of(ids: jax.Array, index: NgramIndex) -> jax.Array:
    """|G_w| of words, [n] -> [n] int32."""
    return look_up(index.begin, ids + 1) - look_up(index.begin, ids)


def composed(
    params: SubwordParams, ids: jax.Array, of: jax.Array, found: Occurrences, index: NgramIndex
) -> jax.Array:
    """h_w of the words ids [n] where `of` [n] is true, else 0: [n, D]; found: their n-grams."""
    own = jnp.where(of[:, None], table_ops.gather(params.input, ids), 0)

    def add(sums, slot, row):
        rows = jnp.where((row < index.count)[:, None], table_ops.gather(params.ngrams, row), 0)
        return table_ops.scatter_add(sums, slot, rows)

    return found.each_part(add, own) / (1 + sizes_of(ids, index)).astype(own.dtype)[:, None]


def untrained(never: np.ndarray, index: NgramIndex) -> np.ndarray:
    """Words [V] bool of those that `never` had a context whose n-grams no other word trained."""
    rows, sizes = np.asarray(index.rows), np.diff(index.begin)
    word = np.repeat(np.arange(len(never)), sizes)
    rows = rows[: len(word)]
    trained = np.zeros(index.count, bool)
    trained[rows[~never[word]]] = True
    shares = np.bincount(word, weights=trained[rows], minlength=len(never)) > 0
    return never & ~shares


def of_all_words(params: Params | SubwordParams, index: NgramIndex | None) -> Params:
    """The tables with every word's h_w for its own row: [V, D] both. Without n-grams themselves.

    Source: fastText's precomputed word vectors.
    """
    if index is None:
        return params
    size, dim = params.input.shape
    count = min(size, WORDS)

    def of_some(begin):
        ids = begin + jnp.arange(count, dtype=jnp.int32)
        found = occurrences(ids, ids < size, index, dim)
        return composed(params, ids, ids < size, found, index)

    rows = jax.lax.map(of_some, jnp.arange(0, size, count, dtype=jnp.int32))
    return Params(rows.reshape(-1, dim)[:size], params.output)


def word_tables(
    params: Params | SubwordParams, config, vocab: Vocab
) -> tuple[Params, Subwords | None]:
    """Of a training's tables those of words [V, D], and what unknown words are made of.

    config: says which n-grams; without subwords the tables themselves, and None.
    """
    if not config.subwords:
        return params, None
    found = of_words(vocab.words, config.min_n, config.max_n, config.buckets)
    params = SubwordParams(*map(jnp.asarray, params))
    table = np.asarray(params.ngrams)[: len(found.buckets)]
    made_up = Subwords(table, config.min_n, config.max_n, config.buckets, found.buckets)
    return jax.jit(of_all_words)(params, found.index), made_up


class Batched(NamedTuple):
    """A batch's words, composed."""

    ids: jax.Array  # [n] int32, of the input embeddings, an occurrence each; V and more: none
    indices: jax.Array  # [n] int32, of each one's representative
    representative: jax.Array  # [V] int32
    found: Occurrences  # the n-grams of the representatives
    table: Composed  # what an engine gathers from


def of_batch(
    params: SubwordParams,
    representative: jax.Array,
    ids: jax.Array,
    index: NgramIndex,
    platform: str,
) -> Batched:
    """The distinct words of a batch composed, once each; ids [n] of its input embeddings."""
    representative, indices = sparse_update.deduplicate(representative, ids)
    distinct = indices == jnp.arange(len(ids), dtype=indices.dtype)
    found = occurrences(ids, distinct, index, params.input.shape[1], platform)
    rows = composed(params, ids, distinct, found, index)
    return Batched(ids, indices, representative, found, Composed(rows, representative))


def update(
    params: SubwordParams,
    state: SubwordParams,
    batched: Batched,
    row_grads: jax.Array,
    index: NgramIndex,
    transformation: optax.GradientTransformation,
    legacy_gradient: bool,
) -> tuple[tuple[jax.Array, jax.Array], tuple[sparse_update.RowState, NgramState]]:
    """New input and n-gram tables, and their states, by d objective / d h_w.

    row_grads [n, D]: at each representative its word's gradient. d h_w / d v_w = d h_w / d z_g =
    1 / (1 + |G_w|); with legacy_gradient each row gets the whole gradient (fastText, gensim).
    """
    if not legacy_gradient:
        row_grads = row_grads / (1 + sizes_of(batched.ids, index)).astype(row_grads.dtype)[:, None]
    own = state.input.replace(representative=batched.representative)
    table, own = sparse_update.update(
        params.input, own, batched.ids, batched.indices, row_grads, transformation
    )
    ngrams, of_ngrams = _of_ngrams(
        params.ngrams, state.ngrams, batched.found, row_grads, transformation
    )
    return (table, ngrams), (own, of_ngrams)


def _of_ngrams(
    table: jax.Array,
    state: NgramState,
    found: Occurrences,
    row_grads: jax.Array,
    transformation: optax.GradientTransformation,
) -> tuple[jax.Array, NgramState]:
    """Each n-gram's row moves once, by the sum of its words' gradients."""
    count = table.shape[0]
    numbered = _numbered(found, state.rows.representative)

    def add(sums, slot, row):
        number = table_ops.gather(numbered.number, row)
        to = jnp.where(row < count, number, count)
        return table_ops.scatter_add(sums, to, table_ops.gather(row_grads, slot))

    part = min(found.part, count)
    occurrence = jnp.arange(part, dtype=jnp.int32)

    def move(i, carry):
        table, rows, sums = carry
        begin = jnp.minimum(i * part, count - part)
        row = jax.lax.dynamic_slice_in_dim(numbered.rows, begin, part)
        summed = jax.lax.optimization_barrier(table_ops.gather(sums, begin + occurrence))
        new = (row < count) & (begin + occurrence >= i * part)  # the last part may begin earlier
        row = jnp.where(new, row, count + occurrence)
        table, rows = sparse_update.update(table, rows, row, occurrence, summed, transformation)
        # Subtracted, not set, and read once before: otherwise XLA copies all sums.
        return table, rows, table_ops.scatter_add_unique(sums, begin + occurrence, -summed)

    sums = found.each_part(add, state.sums)
    parts = table_ops.most(-(-numbered.count // part))
    rows = state.rows.replace(representative=numbered.number)
    table, rows, sums = jax.lax.fori_loop(0, parts, move, (table, rows, sums))
    return table, NgramState(rows, sums)


class _Numbered(NamedTuple):
    """The distinct rows of occurrences."""

    number: jax.Array  # [U] int32, a row's number; of rows without one anything
    rows: jax.Array  # [U] int32, the row of each number; U behind the last
    count: jax.Array  # [] int32


def _numbered(found: Occurrences, scratch: jax.Array) -> _Numbered:
    """Numbers the distinct rows; scratch [U]."""
    size, numbers = len(scratch), jnp.arange(len(found.row), dtype=jnp.int32)

    def write(scratch, number, row):
        return table_ops.scatter_set(scratch, row, number)

    def give(carry, number, row):
        scratch, rows, count = carry
        # A row's own is its last occurrence: in no later part is its number compared again.
        own = (table_ops.gather(scratch, row) == number) & (row < size)
        new = count + jnp.cumsum(own, dtype=jnp.int32) - 1
        scratch = table_ops.scatter_set(scratch, jnp.where(own, row, size), new)
        rows = table_ops.scatter_set(rows, jnp.where(own, new, size), row)
        return scratch, rows, new[-1] + 1

    of_numbers = found._replace(slot=numbers)
    scratch = of_numbers.each_part(write, scratch)
    none = jnp.full(size, size, jnp.int32)
    return _Numbered(*of_numbers.each_part(give, (scratch, none, jnp.int32(0))))
