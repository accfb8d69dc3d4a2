"""The blocks engine: which pairs it trains, and that it is the pairs engine's objective."""

from collections import Counter
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from batches import flat
from jax.test_util import check_grads

from w2v_jax import sampling, subsampling, training, update
from w2v_jax.data import corpus as corpora
from w2v_jax.engines import blocks, pairs, products
from w2v_jax.types import Params, StaticConfig

LENGTHS = (1, 2, 5, 3, 1, 9, 4, 12, 1)
N, D = sum(LENGTHS), 4
LINES = np.repeat(np.arange(len(LENGTHS)), LENGTHS)
KEY = jax.random.key(7)
STATIC = StaticConfig(
    engine="blocks",
    window=3,
    negatives=2,
    noise="with_replacement",
    block=4,
    group_size=8,
    negatives_per_group=5,
    batch_size=16,
)
LAWS = [
    (model, noise, legacy)
    for model in ("skipgram", "cbow")
    for noise in ("with_replacement", "exclude_target", "skip_target")
    for legacy in (False, True)
    if model == "cbow" or not legacy
]


# Fields that only streams, or only batches, depend on: a compilation less for each value.
OF_STREAMS = {*StaticConfig._fields} - {"model", "noise", "cbow_legacy_gradient"}
OF_BATCHES = {"noise": "with_replacement", "dynamic_window": True, "expected_window": False}


@cache
def jitted(function, static):
    return jax.jit(partial(function, static=static))


def drawing(static):
    of_streams = {name: getattr(static, name) for name in OF_STREAMS}
    return jitted(subsampling.sample_chunk, STATIC._replace(**of_streams))


def gradient_of(static):
    return jitted(update.gradient, static._replace(**OF_BATCHES))


def step_of(static):
    return jitted(update.update_step, static._replace(**OF_BATCHES))


def batches_of(hyper, static, epoch=0, lines=LINES, padding=3):
    """Each token is its own word, so that a batch tells positions."""
    draw, make = drawing(static), jitted(blocks.make_blocks, static)
    tokens = np.pad(np.arange(len(lines)), (0, padding)).astype(np.int32)
    lines = np.pad(lines, (0, padding), constant_values=-1).astype(np.int32)
    sampled = draw(KEY, jnp.int32(epoch), jnp.int32(0), tokens, lines, hyper)
    steps = int(sampling.steps_of(int(sampled.centres), static))
    return sampled, [
        jax.tree.map(np.asarray, make(sampled, jnp.int32(s), hyper)) for s in range(steps)
    ]


def pairs_of(batches, static):
    found = Counter()
    w, length = static.window, static.block
    for batch in batches:
        for block, context_weights in zip(batch.tokens, batch.context_weights, strict=True):
            for centre, x in zip(*np.nonzero(context_weights), strict=True):
                found[int(block[w + centre]), int(block[x])] += 1
        assert (
            set(np.unique(batch.context_weights)) <= {0, 1}
            and batch.context_weights.shape[1] == length
        )
    return found


def enumerated(sampled):
    kept = [
        (int(t), int(line), int(window))
        for t, line, window in zip(sampled.tokens, sampled.line, sampled.window, strict=True)
        if line >= 0
    ]
    return Counter(
        (word, kept[j][0])
        for i, (word, line, window) in enumerate(kept)
        for j in range(max(0, i - window), min(len(kept), i + window + 1))
        if j != i and kept[j][1] == line
    )


def tables(seed=0):
    rng = np.random.default_rng(seed)
    return Params(*rng.normal(size=(2, N, D)).astype(np.float32))


@pytest.fixture(scope="module")
def hyper(make_hyper):
    return make_hyper(np.arange(N, 0, -1.0), window=3, negatives=2, keep_prob=np.full(N, 0.8))


# Which pairs


@pytest.mark.parametrize("model", ["skipgram", "cbow"])
@pytest.mark.parametrize("dynamic", [True, False])
@pytest.mark.parametrize("block", [1, 4, 8])
@pytest.mark.slow
def test_every_pair_of_the_drawn_windows_once_and_none_across_a_line_end(
    hyper, model, dynamic, block
):
    static = STATIC._replace(model=model, dynamic_window=dynamic, block=block)
    for epoch in (0, 1):
        sampled, batches = batches_of(hyper, static, epoch)
        assert len(batches) > 1
        assert pairs_of(batches, static) == enumerated(sampled)


@pytest.mark.slow
def test_every_kept_token_is_in_one_block_whatever_the_padding(hyper):
    for padding in (0, 7):
        sampled, batches = batches_of(hyper, STATIC, padding=padding)
        own = np.concatenate([blocks.centres_of(b.tokens, STATIC).ravel() for b in batches])
        kept = np.asarray(sampled.tokens)[np.asarray(sampled.line) >= 0]
        np.testing.assert_array_equal(np.sort(own[own < N]), kept)


def test_both_engines_see_the_same_draws(hyper):
    sampled, _ = batches_of(hyper, STATIC)
    static = STATIC._replace(engine="pairs", loss="softmax", batch_size=8)
    draw = jax.jit(partial(subsampling.sample_chunk, static=static))
    tokens = np.pad(np.arange(N), (0, 3)).astype(np.int32)
    lines = np.pad(LINES, (0, 3), constant_values=-1).astype(np.int32)
    other = draw(KEY, jnp.int32(0), jnp.int32(0), tokens, lines, hyper)
    for field in ("tokens", "line", "position", "window"):
        np.testing.assert_array_equal(getattr(sampled, field), getattr(other, field))


def test_blocks_come_in_another_order_each_epoch(hyper):
    lines = np.zeros(400, np.int32)
    static = STATIC._replace(redraw="once")
    hyper = hyper.replace(keep_prob=jnp.ones(400))
    orders = []
    for epoch in (0, 1):
        sampled, _ = batches_of(hyper, static, epoch, lines)
        order = np.asarray(sampled.centre_order)[:100]
        assert sorted(order) == list(range(100))
        orders.append(order.tolist())
    assert orders[0] != orders[1] and orders[0] != sorted(orders[0])


@pytest.mark.parametrize("engine", ["blocks", "pairs"])
@pytest.mark.parametrize("chosen", [1, 2, 3])
def test_the_expected_window_gives_the_mean_over_windows(hyper, engine, chosen):
    """Drawn windows are U{1..chosen}: the gradient of a step is the mean of those of fixed ones."""
    static = STATIC._replace(engine=engine, expected_window=True)
    make = blocks.make_blocks if engine == "blocks" else sampling.make_batch

    def gradient(static, window):
        of_window = hyper.replace(window=jnp.int32(window))
        sampled, _ = batches_of(of_window, static._replace(engine="blocks"))
        if engine == "pairs":
            order = jnp.arange(N + 3, dtype=jnp.int32)
            sampled = sampled._replace(
                centre_order=order, negatives=jnp.zeros((N + 3, 0), jnp.int32)
            )
        batch = jitted(make, static)(sampled, jnp.int32(0), of_window)
        return gradient_of(static)(tables(), batch)

    found, metrics = gradient(static, chosen)
    fixed = static._replace(dynamic_window=False)
    each = [gradient(fixed, window) for window in range(1, chosen + 1)]
    mean, counted = jax.tree.map(lambda *leaves: np.mean(leaves, axis=0), *each)
    assert counted.positives > 10
    for one, other in zip((*found, *metrics[:3]), (*mean, *counted[:3]), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
    drawn, _ = gradient(static._replace(expected_window=False), chosen)
    assert chosen == 1 or np.abs(np.asarray(drawn.input) - found.input).max() > 0.01


def test_cbows_mean_weighs_contexts_by_their_chance_in_both_engines(hyper):
    blocked = STATIC._replace(model="cbow", expected_window=True)
    sampled, (batch, *_) = batches_of(hyper, blocked)
    of_blocks = expanded(batch, hyper, blocked)
    order = jnp.arange(N + 3, dtype=jnp.int32)
    sampled = sampled._replace(centre_order=order, negatives=jnp.zeros((N + 3, 0), jnp.int32))
    make = jitted(sampling.make_batch, blocked._replace(engine="pairs"))
    of_pairs = make(sampled, jnp.int32(0), hyper)
    kept = np.flatnonzero(np.asarray(sampled.line) >= 0)
    text, lines = np.asarray(sampled.tokens), np.asarray(sampled.line)
    wanted = {}
    for x in kept:
        near = [y for y in kept if 0 < abs(y - x) <= 3 and lines[y] == lines[x]]
        share = {int(text[y]): 1 - (abs(int(y) - int(x)) - 1) / 3 for y in near}
        wanted[int(text[x])] = {y: w / sum(share.values()) for y, w in share.items()}
    for found in (of_blocks, jax.tree.map(np.asarray, of_pairs)):
        seen = 0
        for centre, inputs, weights in zip(
            found.positives[:, 0], found.inputs, found.input_weights, strict=True
        ):
            if weights.any():
                seen += 1
                has = {int(y): float(w) for y, w in zip(inputs, weights, strict=True) if w}
                assert has == pytest.approx(wanted[int(centre)], rel=1e-5)
        assert seen > 8


# The same objective


def expanded(batch, hyper, static):
    return jax.tree.map(np.asarray, blocks.expand(batch, N, hyper, static))


@pytest.mark.parametrize(
    ("model", "noise", "legacy", "expected"),
    [(*law, False) for law in LAWS] + [(*law, True) for law in LAWS if not law[2]],
)
@pytest.mark.slow
def test_loss_and_gradient_equal_the_pairs_engines_and_the_derivations(
    hyper, model, noise, legacy, expected
):
    static = STATIC._replace(
        model=model, noise=noise, cbow_legacy_gradient=legacy, expected_window=expected
    )
    _, (batch, *_) = batches_of(hyper, static)
    same = expanded(batch, hyper, static)
    per_pair = static._replace(engine="pairs", negatives=static.negatives_per_group)
    params = tables()
    grads, metrics = gradient_of(static)(params, batch)
    others, other = gradient_of(per_pair)(params, same)
    assert same.weights.any() and metrics.positives == pytest.approx(float(other.positives))
    assert metrics.rows == other.rows
    point = [np.asarray(table, np.float64) for table in params]
    rows_ = flat(same)
    inside = rows_._replace(
        inputs=np.minimum(rows_.inputs, N - 1), outputs=np.minimum(rows_.outputs, N - 1)
    )
    total, d_in, d_out = reference.objective(*point, inside, "negative_sampling", legacy)
    np.testing.assert_allclose([metrics.loss, metrics.objective], total, rtol=1e-5)
    np.testing.assert_allclose(other.objective, total, rtol=1e-5)
    for found in (grads, others):
        np.testing.assert_allclose(found.input, d_in, rtol=2e-5, atol=2e-5)
        np.testing.assert_allclose(found.output, d_out, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(("model", "noise", "legacy"), LAWS)
@pytest.mark.parametrize("rows_moved", ["dense", "sparse"])
@pytest.mark.slow
def test_a_step_of_both_engines_ends_at_the_same_tables(hyper, model, noise, legacy, rows_moved):
    static = STATIC._replace(
        model=model,
        noise=noise,
        cbow_legacy_gradient=legacy,
        update=rows_moved,
        optimizer="row_adagrad",
    )
    hyper = hyper.replace(epsilon=jnp.float32(0.1))
    _, (batch, *_) = batches_of(hyper, static)
    per_pair = static._replace(engine="pairs", negatives=static.negatives_per_group)
    ends = []
    for s, b in ((static, batch), (per_pair, expanded(batch, hyper, static))):
        state = update.init_state(tables(), hyper, s)
        ends.append(step_of(s)(state, b, jnp.float32(0.5), hyper)[0].params)
    for one, other, start in zip(*ends, tables(), strict=True):
        assert np.abs(np.asarray(one) - start).max() > 0.1
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", ["skipgram", "cbow"])
def test_the_gradient_in_parts_is_that_of_the_whole(hyper, monkeypatch, model):
    static = STATIC._replace(model=model)
    _, (batch, *_) = batches_of(hyper, static)
    monkeypatch.setattr(blocks, "PARTS", 1)
    whole = jax.jit(partial(update.gradient, static=static))(tables(), batch)
    for parts in (2, 3):  # 2 groups are not cut in 3: then it is one part
        monkeypatch.setattr(blocks, "PARTS", parts)
        found = jax.jit(partial(update.gradient, static=static))(tables(), batch)
        for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(whole), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_both_gradients_of_weighted_sums_are_right():
    rng = np.random.default_rng(0)
    shares, rows = rng.normal(size=(2, 3, 5)), rng.normal(size=(2, 5, 4))
    arguments = jnp.float32(shares), jnp.float32(rows)
    check_grads(products.weighted_sums, arguments, 1, ["rev"], atol=0.02, rtol=0.02, eps=1e-2)


@pytest.mark.parametrize(("model", "noise"), [(m, n) for m, n, legacy in LAWS if not legacy])
def test_in_expectation_over_noise_it_is_the_pairs_engines_objective(make_hyper, model, noise):
    """Mean weight of each (positive, negative) against K Pn, within 5 standard errors."""
    words = 5
    hyper = make_hyper(np.array([8, 4, 2, 1, 1.0]), window=3, negatives=3)
    static = STATIC._replace(model=model, noise=noise, negatives=3, block=8, batch_size=8)
    tokens, lines = jnp.array([0, 1, 2, 3, 4, 0, 1, 0]), jnp.zeros(8, jnp.int32)
    zero = jnp.int32(0)
    sampled = jitted(subsampling.sample_chunk, static)(KEY, zero, zero, tokens, lines, hyper)

    @jax.jit
    @jax.vmap
    def weights(seed):  # [centres, words]: the weight of each negative
        noise = sampling.draw_words(jax.random.key(seed), 1, static.negatives_per_group, hyper)
        batch = blocks.make_blocks(sampled._replace(negatives=noise[None]), 0, hyper, static)
        hot = jax.nn.one_hot(batch.negatives, words)
        per = jnp.broadcast_to(batch.negative_weights, (1, 8, static.negatives_per_group))
        return jnp.einsum("gnm,gmw->gnw", per, hot)[0], batch.context_weights[0]

    drawn, context_weights = jax.tree.map(np.asarray, weights(jnp.arange(4000)))
    pn, context_weights = np.asarray(hyper.noise, np.float64), context_weights[0]
    wanted = np.zeros((8, words))
    for centre in range(8):
        contexts = np.flatnonzero(context_weights[centre])
        targets = (
            np.asarray(tokens)[contexts - 3]
            if model == "skipgram"
            else np.asarray(tokens)[[centre]]
        )
        for target in np.asarray(targets):
            law = pn.copy()
            if noise != "with_replacement":
                law[target] = 0
            if noise == "exclude_target":
                law /= law.sum()
            wanted[centre] += 3 * law
    error = drawn.std(axis=0) / np.sqrt(len(drawn))
    assert (np.abs(drawn.mean(axis=0) - wanted) <= 5 * error + 1e-5).all()
    full = 3 * (context_weights.sum() if model == "skipgram" else 8)
    assert wanted.sum() == pytest.approx(full) or (noise == "skip_target" and wanted.sum() < full)


# The sample whose loss is taken


@pytest.mark.parametrize("model", ["skipgram", "cbow"])
def test_the_sums_are_those_of_the_first_blocks_of_each_part(hyper, monkeypatch, model):
    """Of 4 blocks of 4 centres in 2 parts, 1 block a part, against the derivations' loops."""
    monkeypatch.setattr(blocks, "MEASURED", 8)
    static = STATIC._replace(model=model)
    _, (batch, *_) = batches_of(hyper, static)
    _, metrics = jax.jit(partial(update.gradient, static=static))(tables(), batch)
    rows = np.r_[0:4, 8:12]  # of `expand`, a centre each
    same = jax.tree.map(lambda x: x[rows], expanded(batch, hyper, static))
    point = [np.asarray(table, np.float64) for table in tables()]
    rows_ = flat(same)
    inside = rows_._replace(
        inputs=np.minimum(rows_.inputs, N - 1), outputs=np.minimum(rows_.outputs, N - 1)
    )
    loss, _, _ = reference.objective(*point, inside, "negative_sampling", False)
    bands = np.asarray(batch.context_weights).reshape(16, -1)[rows]
    count = bands.sum() if model == "skipgram" else bands.any(axis=1).sum()
    wanted = (loss, count, loss, bands.any(axis=1).sum(), 1)
    np.testing.assert_allclose(metrics[:5], wanted, rtol=1e-5)
    squares = loss * loss, loss * count, count * count
    np.testing.assert_allclose(metrics[5:], np.array(squares) / 2, rtol=1e-5)  # half is left out


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.slow
def test_what_is_measured_changes_no_table(hyper, monkeypatch, reduction):
    static = STATIC._replace(reduction=reduction, update="sparse", optimizer="sgd")
    _, (batch, *_) = batches_of(hyper, static)
    state, ends = update.init_state(tables(), hyper, static), []
    for measured in (4, 128):
        monkeypatch.setattr(blocks, "MEASURED", measured)
        step = jax.jit(partial(update.update_step, static=static))
        ends.append(step(state, batch, jnp.float32(0.5), hyper))
    for one, other in zip(*(end.params for end, _ in ends), strict=True):
        np.testing.assert_array_equal(one, other)
    assert 0 < ends[0][1].positives < ends[1][1].positives == batch.context_weights.sum()
    assert ends[0][1].loss_squares > 0 == ends[1][1].loss_squares


# Noise


def test_each_step_has_the_noise_of_its_own_key(hyper):
    sampled, batches = batches_of(hyper, STATIC)
    groups = STATIC.batch_size // STATIC.group_size
    for step, batch in enumerate(batches):
        key = jax.random.fold_in(sampled.negatives_key, step)
        np.testing.assert_array_equal(
            batch.negatives, sampling.draw_words(key, groups, STATIC.negatives_per_group, hyper)
        )


def test_noise_is_drawn_anew_each_step_and_is_a_function_of_its_address(hyper):
    _, one = batches_of(hyper, STATIC, epoch=0)
    _, again = batches_of(hyper, STATIC, epoch=0)
    _, other = batches_of(hyper, STATIC, epoch=1)
    for a, b in zip(one, again, strict=True):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_array_equal(x, y)
    assert (one[0].negatives != one[1].negatives).any() and (
        one[0].negatives != other[0].negatives
    ).any()


# Runs


@pytest.mark.bits
@pytest.mark.slow
def test_a_smaller_dispatch_gives_the_same_tables(make_corpus, make_hyper):
    rng = np.random.default_rng(0)
    corpus = make_corpus([rng.integers(0, N, n) for n in rng.integers(1, 30, 60)], vocab_size=N)
    hyper = make_hyper(np.arange(N, 0, -1.0), window=3, learning_rate=0.1, epsilon=1.0)
    static = STATIC._replace(update="sparse", optimizer="row_adagrad", schedule="linear")
    ends = []
    for steps in (3, 1000):
        state = update.init_state(jax.tree.map(jnp.asarray, tables()), hyper, static)
        size = corpus.chunk_size
        program = training.compile_program(state, KEY, size, hyper, static, steps)
        whole = training.Training(KEY, corpus, program, hyper, static, 2)
        *_, (state, report) = (
            (jax.tree.map(np.asarray, state), report)
            for state, report in training.train(state, whole)
        )
        assert report.words == 2 * len(corpus.ids) and np.isfinite(report.metrics.loss)
        ends.append(state.params)
    for one, other in zip(*ends, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_reference_engine_reads_the_same_expanded_batch(hyper):
    """`expand` gives pairs with M negatives each: nothing is lost by pairs_in_use."""
    _, (batch, *_) = batches_of(hyper, STATIC)
    same = expanded(batch, hyper, STATIC)
    per_pair = STATIC._replace(engine="pairs", negatives=STATIC.negatives_per_group)
    _, used = jax.jit(lambda b: pairs.pairs_in_use(b, (N, D), per_pair))(same)
    assert int(used) == batch.context_weights.sum()


@pytest.mark.slow
def test_over_several_chunks_every_token_with_a_context_is_a_centre_once_an_epoch(
    make_corpus, make_hyper, monkeypatch
):
    monkeypatch.setattr(corpora, "CHUNK", 16)
    ends = np.cumsum(LENGTHS)
    corpus = make_corpus([np.arange(e - n, e) for e, n in zip(ends, LENGTHS, strict=True)])
    assert len(corpora.cut(corpus.line_ends, 16)) - 1 == 3
    hyper = make_hyper(np.ones(N), window=3, epsilon=1.0)
    static = STATIC._replace(update="sparse", optimizer="row_adagrad")
    state = update.init_state(jax.tree.map(jnp.asarray, tables()), hyper, static)
    program = training.compile_program(state, KEY, corpus.chunk_size, hyper, static, 5)
    whole = training.Training(KEY, corpus, program, hyper, static, 2)
    reports = [r for _, r in training.train(state, whole)]
    for epoch in (1, 2):
        rows = sum(r.metrics.rows for r in reports if r.epoch == epoch)
        assert rows == sum(n for n in LENGTHS if n > 1)
    assert reports[-1].words == 2 * N
