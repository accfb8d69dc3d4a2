"""Neighbours and analogies against float64 loops and against gensim."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2v_jax.types import UserError
from w2v_jax.vectors import similarity
from w2v_jax.vectors.similarity import analogy, find, find_all, most_similar


def table(seed, rows=12, dim=5):
    return np.random.default_rng(seed).normal(size=(rows, dim)).astype(np.float32)


def cosine(u, v):
    lengths = np.sqrt(sum(x * x for x in u)) * np.sqrt(sum(x * x for x in v))
    return sum(x * y for x, y in zip(u, v, strict=True)) / lengths if lengths else 0.0


def ranked(scores, left_out, topk):
    order = sorted((i for i in scores if i not in left_out), key=lambda i: -scores[i])[:topk]
    return order, [scores[i] for i in order]


def loop_analogy(vectors, triple, topk, score):
    """The definitions, word by word, in float64."""
    vectors = vectors.astype(np.float64)
    a, b, c = (vectors[i] for i in triple)
    scores = {}
    for x, row in enumerate(vectors):
        if score == "mul":
            near = [(1 + cosine(row, word)) / 2 for word in (a, b, c)]
            scores[x] = near[1] * near[2] / (near[0] + 1e-6)
        elif score == "cosine":
            offset = sum(s * w / np.linalg.norm(w) for s, w in ((-1, a), (1, b), (1, c)))
            scores[x] = cosine(row, offset)
        else:
            offset = b - a + c
            scores[x] = row @ offset / np.linalg.norm(offset)
    return ranked(scores, triple, topk)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.integers(0, 11), min_size=3, max_size=4))
def test_neighbours_are_the_loops(seed, ids):
    vectors = table(seed)
    found, cosines = most_similar(vectors, ids, 4)
    for query, row, values in zip(ids, found, cosines, strict=True):
        scores = {i: cosine(vectors[query].astype(float), v) for i, v in enumerate(vectors)}
        order, expected = ranked(scores, {query}, 4)
        np.testing.assert_allclose(values, expected, atol=1e-6)
        assert list(row) == order


@pytest.mark.parametrize("score", ["cosine", "mul", "dot"])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), triple=st.permutations(range(12)))
def test_analogies_are_the_loops(score, seed, triple):
    vectors = table(seed)
    ids, scores = analogy(vectors, [triple[:3]], 3, score)
    order, expected = loop_analogy(vectors, triple[:3], 3, score)
    np.testing.assert_allclose(scores[0], expected, rtol=2e-5, atol=1e-5)
    assert list(ids[0]) == order


def test_the_query_is_left_out_by_id_not_by_rank():
    # Twins of word 0 tie with it; the zero word 3 is not even near itself.
    vectors = np.array([[1, 0], [2, 0], [3, 0], [0, 0], [0, 1]], np.float32)
    ids, cosines = most_similar(vectors, [0, 3], 4)
    assert sorted(ids[0]) == [1, 2, 3, 4] and sorted(ids[1]) == [0, 1, 2, 4]
    np.testing.assert_array_equal(cosines, [[1, 1, 0, 0], [0, 0, 0, 0]])


@pytest.mark.parametrize("score", ["cosine", "mul", "dot"])
def test_zero_rows_give_no_nan_and_the_three_words_never_come_back(score):
    vectors = table(0)
    vectors[[2, 7]] = 0
    ids, scores = analogy(vectors, [[2, 7, 2], [0, 1, 2], [3, 3, 3]], 9, score)
    assert np.isfinite(scores).all()
    assert not {2, 7} & set(ids[0]) and not {0, 1, 2} & set(ids[1]) and 3 not in ids[2]


def test_the_books_dot_prefers_long_rows_and_cosine_does_not():
    vectors = np.array([[1, 0], [1, 1], [1, 0.1], [1, 2], [20, 1]], np.float32)
    assert analogy(vectors, [[0, 1, 2]], 1, "dot")[0] == 4
    assert analogy(vectors, [[0, 1, 2]], 1, "cosine")[0] == 3


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_gensim_agrees():
    models = pytest.importorskip("gensim.models")
    words = [f"w{i}" for i in range(300)]
    vectors = table(3, 300, 20)
    theirs = models.KeyedVectors(20)
    theirs.add_vectors(words, vectors)
    triples = np.random.default_rng(0).integers(0, 300, (8, 3))
    for found, ask in (
        (most_similar(vectors, triples[:, 0], 5), lambda a, b, c: theirs.most_similar(a, topn=5)),
        (
            analogy(vectors, triples, 5),
            lambda a, b, c: theirs.most_similar(positive=[b, c], negative=[a], topn=5),
        ),
        (
            analogy(vectors, triples, 5, "mul"),
            lambda a, b, c: theirs.most_similar_cosmul(positive=[b, c], negative=[a], topn=5),
        ),
    ):
        for triple, ids, scores in zip(triples, *found, strict=True):
            answers = ask(*(words[i] for i in triple))
            assert [words[i] for i in ids] == [word for word, _ in answers]
            np.testing.assert_allclose(scores, [s for _, s in answers], rtol=1e-4)


def test_chunks_do_not_show_and_do_not_recompile(monkeypatch):
    vectors = table(1, 50, 7)
    triples = np.random.default_rng(1).integers(0, 50, (37, 3))
    whole = analogy(vectors, triples, 4)
    monkeypatch.setattr(similarity, "CHUNK_SCORES", 50 * 9)  # chunks of 8: four whole, one of 5
    before = similarity._best._cache_size()
    for some in (triples, triples[:36], triples[:9]):
        ids, scores = analogy(vectors, some, 4)
        np.testing.assert_array_equal(ids, whole[0][: len(some)])
        np.testing.assert_allclose(scores, whole[1][: len(some)], rtol=1e-5)
    assert similarity._best._cache_size() == before + 1


def test_small_vocabularies_and_no_queries():
    assert most_similar(table(0, 3), [0], 10)[0].shape == (1, 2)
    assert analogy(table(0, 3), [[0, 1, 2]], 10)[0].shape == (1, 0)
    assert most_similar(table(0), [], 4)[1].shape == (0, 4)


@pytest.mark.parametrize("bad", [-1, 12])
def test_ids_outside_the_vocabulary_are_refused(bad):
    with pytest.raises(IndexError, match=r"0\.\.11"):
        most_similar(table(0), [1, bad], 2)


def test_an_unknown_score_is_refused():
    with pytest.raises(ValueError, match="cosine, mul, dot"):
        analogy(table(0), [[0, 1, 2]], 1, "sum")


def test_find():
    words = ("the", "toyota", "ford", "ibm", "toy")
    assert find(words, "ford") == 2
    assert find_all(words, ["toy", "toyot", "the"]) == (
        [4, 0],
        ["'toyot' is not in the vocabulary; near: toyota, toy"],
    )
    with pytest.raises(UserError, match=r"^'IBM' is not in the vocabulary; near: ibm$"):
        find(words, "IBM")
    with pytest.raises(UserError, match=r"^'zzzz' is not in the vocabulary$"):
        find(words, "zzzz")
