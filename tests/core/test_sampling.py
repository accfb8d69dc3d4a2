"""Subsampling, windows, centres: their laws, and what a batch is a function of.

Laws are tested with fixed seeds by chi-square at p > 0.001, rates within 5 standard errors.
"""

import itertools
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from batches import flat
from fuzzing import cases
from hypothesis import given
from hypothesis import strategies as st
from laws import chi_square
from scipy import stats

from w2v_jax import sampling, subsampling, visits
from w2v_jax.data import vocab
from w2v_jax.types import StaticConfig

sample_chunk = jax.jit(subsampling.sample_chunk, static_argnames="static")
make_batch = jax.jit(sampling.make_batch, static_argnames="static")

KEY = jax.random.key(7)
LENGTHS = (1, 2, 5, 3, 1, 9, 4)
N = sum(LENGTHS)
LINES = np.repeat(np.arange(len(LENGTHS)), LENGTHS)
PAIRS = StaticConfig(loss="softmax", window=3, batch_size=4, redraw="epoch")  # positives alone
# Fields that only streams, or only batches, depend on: a compilation less for each value.
OF_STREAMS = {
    "dynamic_window": True,
    "full_windows": False,
    "redraw": "epoch",
    "order": "random",
}


def stream_of(hyper, static, lines=LINES, tokens=None, epoch=0, chunk=0, key=KEY, padding=3):
    """A stream of words that are their own positions, or of `tokens`, with padding at the end."""
    tokens = np.arange(len(lines)) if tokens is None else tokens
    tokens = np.pad(tokens, (0, padding)).astype(np.int32)
    lines = np.pad(lines, (0, padding), constant_values=-1).astype(np.int32)
    if static.redraw == "epoch":
        static = StaticConfig(**{name: getattr(static, name) for name in OF_STREAMS})
    return sample_chunk(
        key, jnp.int32(epoch), jnp.int32(chunk), tokens, lines, hyper, static=static
    )


def batches_of(sampled, hyper, static):
    steps = int(sampling.steps_of(int(sampled.centres), static))
    static = static._replace(**OF_STREAMS, drop_last=False)
    return [flat(make_batch(sampled, jnp.int32(s), hyper, static=static)) for s in range(steps)]


def rows_of(sampled, hyper, static):
    """The batches of an epoch as one."""
    columns = zip(*batches_of(sampled, hyper, static), strict=True)
    return [np.concatenate(column) for column in columns]


def pairs_of(sampled, hyper, static):
    """(centre, context) of every row and slot that weighs."""
    inputs, input_weights, outputs, _, weights = rows_of(sampled, hyper, static)
    found = Counter()
    for row in range(len(inputs)):
        for i, o in itertools.product(*(np.flatnonzero(w[row]) for w in (input_weights, weights))):
            pair = int(inputs[row, i]), int(outputs[row, o])
            found[pair if static.model == "skipgram" else pair[::-1]] += 1
    return found


def enumerated(sampled, full=False):
    """The pairs and centres of the kept tokens, by the definition: windows stop at line ends."""
    kept = [
        (int(t), int(line), int(window))
        for t, line, window in zip(sampled.tokens, sampled.line, sampled.window, strict=True)
        if line >= 0
    ]
    pairs, centres = Counter(), Counter()
    for i, (word, line, window) in enumerate(kept):
        near = [j for j in range(i - window, i + window + 1) if j != i and 0 <= j < len(kept)]
        near = [j for j in near if kept[j][1] == line]
        if near and not (full and len(near) < 2 * window):
            centres[word] += 1
            pairs.update((word, kept[j][0]) for j in near)
    return pairs, centres


@pytest.fixture(scope="module")
def even(make_hyper):
    """All kept; window 3."""
    return make_hyper(np.ones(N), window=3)


# Windows and centres


@pytest.mark.parametrize("model", ["skipgram", "cbow"])
@pytest.mark.parametrize("dynamic", [True, False])
def test_every_pair_of_the_drawn_windows_once_and_none_across_a_line_end(even, model, dynamic):
    static = PAIRS._replace(model=model, dynamic_window=dynamic)
    sampled = stream_of(even, static)
    wanted, centres = enumerated(sampled)
    assert pairs_of(sampled, even, static) == wanted
    assert int(sampled.centres) == len(centres) and int(sampled.centres) % static.batch_size


def test_windows_are_laid_over_what_subsampling_leaves(make_hyper):
    hyper = make_hyper(np.ones(N), window=3, keep_prob=np.full(N, 0.6))
    for epoch in range(5):
        sampled = stream_of(hyper, PAIRS, epoch=epoch)
        wanted, _ = enumerated(sampled)
        kept = np.asarray(sampled.tokens)[np.asarray(sampled.line) >= 0]
        assert 0 < len(kept) < N and (np.diff(kept) > 0).all()
        assert pairs_of(sampled, hyper, PAIRS) == wanted


@pytest.mark.parametrize("model", ["skipgram", "cbow"])
def test_every_token_with_a_context_is_a_centre_once(even, model):
    static = PAIRS._replace(model=model)
    inputs, input_weights, outputs, _, weights = rows_of(stream_of(even, static), even, static)
    centres = (inputs if model == "skipgram" else outputs)[:, 0]
    filled = weights.any(axis=1)
    np.testing.assert_array_equal(filled, input_weights.any(axis=1))
    alone = np.isin(LINES, np.flatnonzero(np.array(LENGTHS) == 1))
    np.testing.assert_array_equal(np.sort(centres[filled]), np.flatnonzero(~alone))


def test_cbow_weighs_the_contexts_of_a_row_equally_to_a_sum_of_one(even):
    static = PAIRS._replace(model="cbow")
    _, input_weights, _, _, weights = rows_of(stream_of(even, static), even, static)
    filled = weights[:, 0] > 0
    np.testing.assert_allclose(input_weights[filled].sum(axis=1), 1, rtol=1e-6)
    assert not input_weights[~filled].any()
    assert {len(set(row[row > 0])) for row in input_weights[filled]} == {1}


@pytest.mark.parametrize("model", ["skipgram", "cbow"])
def test_full_windows_has_the_centres_whose_window_is_whole(even, model):
    static = PAIRS._replace(model=model, full_windows=True, dynamic_window=False)
    sampled = stream_of(even, static, lines=np.zeros(N, np.int32))
    positions = np.asarray(sampled.centre_order)[: int(sampled.centres)]
    np.testing.assert_array_equal(np.sort(positions), np.arange(3, N - 3))
    pairs = pairs_of(sampled, even, static)
    assert len(pairs) == (N - 6) * 6
    assert pairs == enumerated(sampled, full=True)[0]


def test_drop_last_leaves_out_the_batch_that_is_not_full(even):
    static = PAIRS._replace(drop_last=True)
    sampled = stream_of(even, static)
    batches = batches_of(sampled, even, static)
    assert len(batches) == int(sampled.centres) // 4 == len(batches_of(sampled, even, PAIRS)) - 1
    assert all((batch.input_weights == 1).all() for batch in batches)


@pytest.mark.parametrize("backend", ["cpu", "tpu"])
def test_order_of_a_rank_is_numpys_stable_one(monkeypatch, backend):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    ranks = np.random.default_rng(0).integers(0, 50, (3, 200)).astype(np.uint32)
    ranks[:, ::7] = 2**31  # what is left out
    ranks[0, 1], ranks[1, 2] = 2**32 - 1, 0
    wanted = np.argsort(ranks, axis=1, kind="stable")
    found = jax.jit(jax.vmap(lambda r: sampling.order_of(r)))(ranks)
    assert found.dtype == jnp.int32
    np.testing.assert_array_equal(found, wanted)


def test_centres_come_in_a_random_order(even):
    sampled = stream_of(even, PAIRS, lines=np.zeros(6000, np.int32), tokens=np.zeros(6000, int))
    order = np.asarray(sampled.centre_order)[: int(sampled.centres)]
    assert sorted(order) == list(range(6000))
    assert abs(np.corrcoef(order, np.arange(6000))[0, 1]) < 4 / np.sqrt(2000)
    assert abs(np.mean(np.diff(order) > 0) - 0.5) < 5 * np.sqrt(1 / 12 / 6000)


def test_centres_come_in_the_texts_order_where_they_are_told_to(make_hyper):
    keep = np.linspace(0.3, 1, N)
    hyper = make_hyper(np.ones(N), window=3, keep_prob=keep)
    in_text, random = (stream_of(hyper, PAIRS._replace(order=o)) for o in ("text", "random"))
    order, other = (np.asarray(s.centre_order)[: int(s.centres)] for s in (in_text, random))
    np.testing.assert_array_equal(order, np.sort(other))
    assert (order != other).any()
    for field in ("tokens", "line", "window"):
        np.testing.assert_array_equal(getattr(in_text, field), getattr(random, field))
    for epoch in range(3):
        assert visits.chunk_order(KEY, epoch, 9, "text").tolist() == [*range(9)]


# What is drawn


@pytest.mark.parametrize("window", [1, 2, 3])
def test_windows_are_uniform_up_to_the_traced_window(make_hyper, window):
    hyper = make_hyper(np.ones(N), window=window)
    sampled = stream_of(hyper, PAIRS, lines=np.zeros(6000, np.int32), tokens=np.zeros(6000, int))
    counts = np.bincount(np.asarray(sampled.window)[:6000], minlength=5)
    assert counts[1 : window + 1].sum() == 6000
    if window > 1:
        assert stats.chisquare(counts[1 : window + 1]).pvalue > 1e-3


@pytest.mark.parametrize("window", [1, 3])
def test_fixed_windows_are_the_traced_window(make_hyper, window):
    hyper = make_hyper(np.ones(N), window=window)
    sampled = stream_of(hyper, PAIRS._replace(dynamic_window=False))
    assert (np.asarray(sampled.window) == window).all()


@pytest.mark.parametrize("model", ["skipgram", "cbow"])
def test_a_smaller_traced_window_is_a_smaller_static_window(make_hyper, model):
    hyper, wide = make_hyper(np.ones(N), window=2), PAIRS._replace(model=model)
    narrow = wide._replace(window=2)
    found, wanted = (pairs_of(stream_of(hyper, s), hyper, s) for s in (wide, narrow))
    assert found == wanted


@pytest.mark.parametrize("rule", ["paper", "word2vec_c"])
def test_words_are_kept_at_the_rate_of_the_rule(make_hyper, rule):
    counts = np.array([4500, 1100, 350, 50])
    f, t = counts / 6000, 0.02
    wanted = np.sqrt(t / f) + (t / f if rule == "word2vec_c" else 0)
    hyper = make_hyper(counts, window=3, keep_prob=vocab.keep_probability(counts, t, rule))
    tokens = np.random.default_rng(0).permutation(np.repeat(np.arange(4), counts))
    sampled = stream_of(hyper, PAIRS, lines=np.zeros(6000, np.int32), tokens=tokens)
    kept = np.bincount(np.asarray(sampled.tokens)[np.asarray(sampled.line) >= 0], minlength=4)
    wanted = np.minimum(wanted, 1)
    assert (np.abs(kept - counts * wanted) <= 5 * np.sqrt(counts * wanted * (1 - wanted))).all()
    assert kept[3] == 50 and wanted[3] == 1


# Noise in a batch


@pytest.fixture(scope="module")
def noisy(make_hyper):
    """Words that occur unequally often; K at most 4, 2 traced."""
    return make_hyper(np.arange(N, 0, -1.0), window=3, negatives=2)


NOISY = StaticConfig(loss="negative_sampling", window=3, negatives=4, batch_size=8)


@pytest.mark.parametrize(
    ("model", "noise"), [("skipgram", "exclude_target"), ("cbow", "exclude_contexts")]
)
def test_each_positive_has_the_traced_number_of_noise_words_behind_it(noisy, model, noise):
    static = NOISY._replace(model=model, noise=noise)
    sampled = stream_of(noisy, static)
    _, _, outputs, labels, weights = rows_of(sampled, noisy, static)
    slots = 6 if model == "skipgram" else 1
    assert outputs.shape[1] == slots * 5
    outputs, labels, weights = (x.reshape(-1, slots, 5) for x in (outputs, labels, weights))
    assert (labels == [1, 0, 0, 0, 0]).all()
    np.testing.assert_array_equal(weights, weights[:, :, :1] * np.array([1, 1, 1, 0, 0]))
    words, used = outputs[:, :, 1:], weights[:, :, 1:] > 0
    assert (words != outputs[:, :, :1])[used].all() and used.any()
    positives = NOISY._replace(model=model, loss="softmax")
    np.testing.assert_array_equal(outputs[:, :, 0], rows_of(sampled, noisy, positives)[2])


def test_the_noise_words_used_follow_the_law(make_hyper):
    pn = np.array([0.4, 0.3, 0.15, 0.1, 0.05])
    hyper = make_hyper(pn, window=3, negatives=2)
    static = NOISY._replace(noise="with_replacement", batch_size=1000)
    tokens = np.random.default_rng(0).integers(0, 5, 6000)
    sampled = stream_of(hyper, static, lines=np.zeros(6000, np.int32), tokens=tokens)
    _, _, outputs, labels, weights = rows_of(sampled, hyper, static)
    words = outputs[(labels == 0) & (weights > 0)]
    assert chi_square(np.bincount(words, minlength=5), pn * len(words)) > 1e-3


@pytest.mark.parametrize("model", ["skipgram", "cbow"])
@cases(6)
@given(counts=st.lists(st.integers(1, 9), min_size=1, max_size=5), k=st.integers(1, 4))
def test_noise_that_hits_its_target_weighs_nothing_and_the_rest_is_as_drawn(
    make_hyper, model, counts, k
):
    pn = np.array([*counts, *[0] * (5 - len(counts))]) / sum(counts)  # one shape, one program
    hyper = make_hyper(pn, window=3, negatives=k)
    static = NOISY._replace(model=model, batch_size=1000)
    tokens = np.random.default_rng(0).integers(0, len(counts), 3000)
    sampled = stream_of(hyper, static, lines=np.zeros(3000, np.int32), tokens=tokens)
    skipped, every = (
        rows_of(sampled, hyper, static._replace(noise=law))
        for law in ("skip_target", "with_replacement")
    )
    for one, other in zip(skipped[:4], every[:4], strict=True):
        np.testing.assert_array_equal(one, other)
    outputs, weights, before = (
        x.reshape(-1, 5) for x in (skipped[2], skipped[4], every[4])
    )  # a positive and its K
    hits = (outputs == outputs[:, :1]) & (np.arange(5) > 0)
    np.testing.assert_array_equal(weights, np.where(hits, 0, before))
    used = before[:, 1:] > 0
    expected = np.broadcast_to(pn[outputs[:, :1]], used.shape)[used]
    error = np.sqrt(np.sum(expected * (1 - expected)))
    assert abs(np.sum(hits[:, 1:][used]) - expected.sum()) <= 5 * error + 1e-3


def test_no_noise_word_is_a_context_of_its_centre(noisy):
    static = NOISY._replace(noise="exclude_contexts")
    _, _, outputs, labels, weights = rows_of(stream_of(noisy, static), noisy, static)
    for words, truth, weight in zip(outputs, labels, weights, strict=True):
        there = weight > 0
        assert not set(words[there & (truth == 0)]) & set(words[there & (truth == 1)])


# What a draw is a function of


def by_centre(sampled, hyper, static):
    """The rows that weigh, in the order of their centres, and the centres as they came."""
    rows = rows_of(sampled, hyper, static)
    filled = rows[1][:, 0] > 0
    rows = [column[filled] for column in rows]
    order = np.argsort(rows[0][:, 0])
    return [column[order] for column in rows], rows[0][:, 0]


@pytest.mark.bits
def test_redraw_once_gives_the_same_draws_in_another_order(make_hyper):
    hyper = make_hyper(np.arange(N, 0, -1.0), window=3, negatives=2, keep_prob=np.full(N, 0.8))
    static = NOISY._replace(redraw="once")
    first, order = by_centre(stream_of(hyper, static), hyper, static)
    second, other_order = by_centre(stream_of(hyper, static, epoch=1), hyper, static)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (order != other_order).any()


@pytest.mark.bits
@pytest.mark.parametrize("model", ["skipgram", "cbow"])
@pytest.mark.parametrize("block", [7, 4096])
@pytest.mark.slow
def test_noise_drawn_once_for_all_is_what_each_step_would_draw(
    make_hyper, monkeypatch, model, block
):
    monkeypatch.setattr(sampling, "NOISE_BLOCK", block)
    hyper = make_hyper(np.arange(N, 0, -1.0), window=3, negatives=2, keep_prob=np.full(N, 0.8))
    static = NOISY._replace(redraw="once", model=model, noise="exclude_target")
    tokens, lines = jnp.arange(N), jnp.int32(LINES)

    @jax.jit
    def both(epoch):
        sampled = subsampling.sample_chunk(KEY, epoch, 0, tokens, lines, hyper, static)
        unstored = sampled._replace(negatives=sampled.negatives[:, :0])
        return [sampling.make_batch(s, 1, hyper, static) for s in (sampled, unstored)]

    for epoch in (0, 1):
        stored, drawn = map(flat, both(jnp.int32(epoch)))
        assert (stored.weights > 0).any()
        for field in ("inputs", "input_weights", "labels", "weights"):
            np.testing.assert_array_equal(getattr(stored, field), getattr(drawn, field))
        used = np.asarray(stored.weights) > 0
        np.testing.assert_array_equal(
            np.asarray(stored.outputs)[used], np.asarray(drawn.outputs)[used]
        )


def test_redraw_epoch_draws_subsampling_windows_and_noise_anew(make_hyper):
    hyper = make_hyper(np.arange(N, 0, -1.0), window=3, negatives=2, keep_prob=np.full(N, 0.8))
    one, other = (stream_of(hyper, NOISY, epoch=epoch) for epoch in (0, 1))
    assert set(np.asarray(one.position)) != set(np.asarray(other.position))
    whole = make_hyper(np.arange(N, 0, -1.0), window=3, negatives=2)
    one, other = (stream_of(whole, NOISY, epoch=epoch) for epoch in (0, 1))
    assert (np.asarray(one.window) != np.asarray(other.window)).any()
    (first, _), (second, _) = (by_centre(s, whole, NOISY) for s in (one, other))
    first, second = (column[2].reshape(-1, 6, 5) for column in (first, second))
    assert (first[:, :, 1:] != second[:, :, 1:]).any()


def test_the_noise_of_a_centre_does_not_depend_on_what_subsampling_leaves(make_hyper):
    static, drawn = NOISY._replace(model="cbow", noise="exclude_contexts"), []
    for keep in (1.0, 0.7):
        hyper = make_hyper(np.arange(N, 0, -1.0), window=3, keep_prob=np.full(N, keep))
        _, input_weights, outputs, _, _ = rows_of(stream_of(hyper, static), hyper, static)
        filled = outputs[input_weights.any(axis=1)]
        drawn.append({row[0]: row[1:].tolist() for row in filled})
    whole, left = drawn
    assert 5 < len(left) < len(whole)
    assert left.items() <= whole.items()


def test_windows_and_order_differ_by_key_epoch_and_chunk(noisy):
    addresses = [{}, {"key": jax.random.key(8)}, {"epoch": 1}, {"chunk": 1}]
    sampled_chunks = [stream_of(noisy, NOISY, **address) for address in addresses]
    for field in ("window", "centre_order"):
        found = {tuple(np.asarray(getattr(sampled, field)).tolist()) for sampled in sampled_chunks}
        assert len(found) == len(addresses)


def test_a_batch_is_a_function_of_key_epoch_chunk_and_step(noisy):
    def batch(key=KEY, epoch=1, chunk=2, step=1):
        sampled = stream_of(noisy, NOISY, key=key, epoch=epoch, chunk=chunk)
        drawn = make_batch(sampled, jnp.int32(step), noisy, static=NOISY)
        return [np.asarray(column) for column in drawn]

    first = batch()
    others = [batch(key=jax.random.key(8)), batch(epoch=2), batch(chunk=3), batch(step=0)]
    for one, again in zip(first, batch(), strict=True):
        np.testing.assert_array_equal(one, again)
    for other in others:
        assert (first[0] != other[0]).any() and (first[2] != other[2]).any()
