"""Word vectors -> neighbours and analogies. Exact, batched, in bounded memory."""

import difflib
from collections.abc import Sequence
from functools import partial
from unicodedata import normalize

import jax
import jax.numpy as jnp
import numpy as np

from w2v_jax.types import UserError

CHUNK_SCORES = 2**24  # scores held at a time: 64 MB of float32
MUL_EPSILON = 1e-6  # gensim's; Levy & Goldberg (2014) write .001, which rarely alters a rank
LONGEST_QUERY = 100  # letters; for a longer one no near spelling is searched: it may take hours
NEAR_WORDS = 50_000  # so many most frequent words are searched for a spelling near an unknown one


def most_similar(
    vectors, query_ids, topk: int, left_out: Sequence[int] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """The topk words nearest to each query, without the query itself.

    cos(u, v) = u.v / (|u| |v|), and 0 where a vector is zero.

    vectors [V, D], query_ids [Q] int -> ids [Q, topk] int32, cosines [Q, topk] float32, best
    first; at most V - 1 columns. left_out: ids that are no answers. Raises
    IndexError where an id is outside the vocabulary.
    Source: Deep Learning from Scratch 2, ch. 2.3.6; gensim's KeyedVectors.most_similar.
    """
    queries = np.asarray(query_ids, np.int32).reshape(-1, 1)
    return _search(unit_rows(vectors), queries, _cosine, topk, left_out)


def combination(
    vectors, ids: Sequence[int], signs: Sequence[int], topk: int, left_out: Sequence[int] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """The topk words nearest to a sum of words, without these: king - man + woman.

    cos(x, sum_i s_i u_i / |u_i|), s_i = 1 or -1.

    vectors [V, D], ids [n] -> ids [topk] int32, cosines [topk] float32, best first. Source:
    Mikolov et al. 2013, Linguistic Regularities; gensim's most_similar(positive, negative).
    """
    unit = unit_rows(vectors)
    ids = np.asarray(ids, np.int32)
    total = jnp.sum(unit[ids] * jnp.asarray(signs, unit.dtype)[:, None], axis=0, keepdims=True)
    return _nearest(unit, total, topk, np.union1d(ids, np.asarray(left_out, np.int64)))


def nearest(
    vectors, target: np.ndarray, topk: int, left_out: Sequence[int] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """The topk words nearest to any vector: cos(x, target).

    vectors [V, D], target [D] -> ids [topk] int32, cosines [topk] float32, best first. left_out:
    ids that are no answers.
    """
    unit, row = unit_rows(vectors), jnp.asarray(target, jnp.float32)[None, :]
    return _nearest(unit, row, topk, np.unique(np.asarray(left_out, np.int64)))


def _nearest(unit, total, topk: int, out: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scores = np.array(_dots(unit_rows(total), unit)[0])
    out = out.astype(np.int64)
    scores[out] = -np.inf
    best = np.argsort(-scores, kind="stable")[: max(0, min(topk, len(scores) - len(out)))]
    return best.astype(np.int32), scores[best]


def rank(vectors, word: int, other: int) -> int:
    """How near `other` is to `word` among all other words: 1 is the nearest, ties count for it.

    Source: gensim's KeyedVectors.rank.
    """
    unit = unit_rows(vectors)
    scores = np.array(_dots(unit[word][None, :], unit)[0])
    nearer = scores > scores[other]
    nearer[word] = False
    return int(nearer.sum()) + 1


def analogy(
    vectors, triples, topk: int, score: str = "cosine", left_out: Sequence[int] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """The topk words x for "a is to b as c is to x", without a, b and c themselves.

    cosine: cos(x, b - a + c) of unit vectors (3CosAdd: Mikolov et al. 2013, Linguistic
        Regularities; gensim's most_similar);
    mul: near(x, b) near(x, c) / (near(x, a) + epsilon), near = (1 + cos) / 2 (3CosMul: Levy &
        Goldberg 2014, eq. 4; gensim's most_similar_cosmul);
    dot: x . (b - a + c) / |b - a + c| of vectors as they are (Deep Learning from Scratch 2,
        ch. 4.3.3).

    vectors [V, D], triples [Q, 3] int of (a, b, c) -> ids [Q, topk] int32, scores [Q, topk]
    float32, best first; at most V - 3 columns. left_out: ids that are no answers. Raises
    ValueError for another score, IndexError where an id is outside the vocabulary.
    """
    if score not in ANALOGY_SCORES:
        raise ValueError(f"score {score!r} is none of {', '.join(ANALOGY_SCORES)}")
    table = jnp.asarray(vectors) if score == "dot" else unit_rows(vectors)
    queries = np.asarray(triples, np.int32).reshape(-1, 3)
    return _search(table, queries, ANALOGY_SCORES[score], topk, left_out)


def find(words: Sequence[str], query: str) -> int:
    """The id of a word. Raises UserError, with words spelt nearly so, where there is none."""
    ids, unknown = find_all(words, [query])
    if unknown:
        raise UserError(unknown[0])
    return ids[0]


def find_all(words: Sequence[str], queries: Sequence[str]) -> tuple[list[int], list[str]]:
    """The ids of the queries that are words, in order, and a line about each that is not."""
    index = {word: i for i, word in enumerate(words)}
    queries = [_composed(index, query) for query in queries]
    ids = [index[query] for query in queries if query in index]
    return ids, [_unknown(words, query) for query in queries if query not in index]


def _composed(index: dict[str, int], query: str) -> str:
    """The query as the vocabulary spells it, its accents composed (NFC) or not (NFD)."""
    forms = (query, normalize("NFC", query), normalize("NFD", query))
    return next((form for form in forms if form in index), query)


def _unknown(words: Sequence[str], query: str) -> str:
    """The line about a word that is not in the vocabulary."""
    frequent = words[:NEAR_WORDS]
    own = folded(query)
    near = [word for word in frequent if folded(word) == own]
    if len(query) <= LONGEST_QUERY:
        near += [word for word in difflib.get_close_matches(query, frequent) if word not in near]
    suggestion = f"; near: {', '.join(near)}" if near else ""
    return f"{query!r} is not in the vocabulary{suggestion}"


def folded(word: str) -> str:
    """What spellings of a word have in common: case, and how accents are composed, left out."""
    return word.lower() if word.isascii() else normalize("NFC", word).casefold()


@jax.jit
def unit_rows(vectors: jax.Array) -> jax.Array:
    """Rows divided by their length, zero rows left zero: [V, D] -> [V, D].

    Numbers below 2^-126, float32's smallest normal one, count as zero.
    """
    vectors = jnp.asarray(vectors)
    # By powers of two, which alter no bit of the result: squares neither overflow nor vanish.
    _, exponent = jnp.frexp(jnp.max(jnp.abs(vectors), axis=1, keepdims=True))
    vectors = jnp.ldexp(vectors, jnp.broadcast_to(-exponent, vectors.shape))
    length = jnp.sqrt(jnp.sum(vectors * vectors, axis=1, keepdims=True))
    return vectors / jnp.where(length > 0, length, 1.0)


def _dots(rows: jax.Array, table: jax.Array) -> jax.Array:
    """[Q, D], [V, D] -> [Q, V], in full float32 on any device."""
    return jnp.matmul(rows, table.T, precision=jax.lax.Precision.HIGHEST)


def _cosine(unit: jax.Array, queries: jax.Array) -> jax.Array:
    return _dots(unit[queries[:, 0]], unit)


def _offset(table: jax.Array, queries: jax.Array) -> jax.Array:
    """Of unit rows it is 3CosAdd, of rows as they are the book's dot."""
    a, b, c = table[queries[:, 0]], table[queries[:, 1]], table[queries[:, 2]]
    return _dots(unit_rows(b - a + c), table)


def _cosine_product(unit: jax.Array, queries: jax.Array) -> jax.Array:
    a, b, c = ((1 + _dots(unit[queries[:, i]], unit)) / 2 for i in range(3))
    return b * c / (a + MUL_EPSILON)


ANALOGY_SCORES = {"cosine": _offset, "mul": _cosine_product, "dot": _offset}


@partial(jax.jit, static_argnames=("score", "topk"))
def _best(table: jax.Array, queries: jax.Array, out: jax.Array | None, score, topk: int):
    """The topk ids and scores of one chunk, the query words and those of `out` [V] left out."""
    scores = score(table, queries)
    if out is not None:
        scores = jnp.where(out[None, :], -jnp.inf, scores)
    row = jnp.arange(queries.shape[0])[:, None]
    scores, ids = jax.lax.top_k(scores.at[row, queries].set(-jnp.inf), topk)
    return ids, scores


def _search(table: jax.Array, queries: np.ndarray, score, topk: int, left_out: Sequence[int]):
    """_best over chunks of one size, the last one padded, so that one program serves them all."""
    count, width = queries.shape
    vocabulary = table.shape[0]
    if count and not 0 <= queries.min() <= queries.max() < vocabulary:
        raise IndexError(f"word ids must be in 0..{vocabulary - 1}")
    out = None
    if len(left_out):
        out = np.zeros(vocabulary, bool)
        out[np.asarray(left_out, np.int64)] = True
    topk = max(0, min(topk, vocabulary - width - len(set(left_out))))
    if count == 0 or topk == 0:
        return np.zeros((count, topk), np.int32), np.zeros((count, topk), np.float32)
    # Powers of two: the number of queries seldom changes the program.
    size = 2 ** min((count - 1).bit_length(), max(1, CHUNK_SCORES // vocabulary).bit_length() - 1)
    padded = np.concatenate([queries, np.repeat(queries[-1:], -count % size, axis=0)])
    found = [_best(table, chunk, out, score, topk) for chunk in padded.reshape(-1, size, width)]
    ids, scores = (np.concatenate(parts)[:count] for parts in zip(*found, strict=True))
    return ids, scores
