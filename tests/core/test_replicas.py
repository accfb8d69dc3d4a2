"""Replicas: each step is one replica's, rows are combined as Adasum says, and R alone decides."""

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import w2v_jax as w2v
from w2v_jax import combination, model, replicas, training, update, visits
from w2v_jax.data import corpus as corpora
from w2v_jax.replicas import Partners
from w2v_jax.types import Params, StaticConfig, UserError

V, D = 30, 4
KEY = jax.random.key(5)
LENGTHS = (4, 7, 5, 11, 3, 2, 21, 5, 6)
LINES = np.split(np.random.default_rng(0).integers(0, V, sum(LENGTHS)), np.cumsum(LENGTHS)[:-1])
STATIC = StaticConfig(
    noise="with_replacement",
    window=2,
    negatives=2,
    batch_size=4,
    schedule="linear",
    update="sparse",
    optimizer="row_adagrad",
    replicas=2,
)


def first(hyper, static):
    return update.init_state(model.init_params(KEY, V, D, "gensim"), hyper, static)


@pytest.fixture
def chunked(monkeypatch, make_corpus, make_hyper):
    """A text of several chunks."""
    monkeypatch.setattr(corpora, "CHUNK", 24)
    corpus = make_corpus(LINES, vocab_size=V)
    assert len(corpus.bounds) > 3
    return corpus, make_hyper(np.ones(V), learning_rate=0.1, epsilon=1.0)


def training_of(corpus, hyper, static, sync_every, steps=2, epochs=2):
    size = corpus.chunk_size
    program = training.compile_program(first(hyper, static), KEY, size, hyper, static, steps)
    return training.Training(KEY, corpus, program, hyper, static, epochs, sync_every)


def trained(whole, start=visits.Position(), state=None, partners=replicas.ALONE):  # noqa: B008
    """States, as NumPy's arrays, and reports, where the replicas have met."""
    state = state or first(whole.hyper, whole.static)
    found = replicas.train(state, whole, start, partners)
    return [(jax.tree.map(np.array, state), report) for state, report in found]


# Each step is one replica's


@given(st.integers(0, 40), st.sampled_from([1, 2, 4, 8]))
@settings(max_examples=60, deadline=None)
def test_every_step_of_a_chunk_is_one_replicas(steps, count):
    own = [range(r, r + count * training.own_steps(steps, r, count), count) for r in range(count)]
    assert sorted(step for numbers in own for step in numbers) == list(range(steps))


@pytest.mark.bits
def test_one_replica_is_the_training_itself(chunked):
    corpus, hyper = chunked
    static = STATIC._replace(replicas=1)
    whole = training_of(corpus, hyper, static, 5)
    mine = trained(whole)
    plain = [
        (jax.tree.map(np.array, state), report)
        for state, report in training.train(first(hyper, static), whole)
    ]
    assert [r for _, r in mine] == [r for _, r in plain]
    jax.tree.map(np.testing.assert_array_equal, mine[-1][0], plain[-1][0])


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
def test_a_training_is_its_replicas_own_steps_combined(chunked, count):
    """Step by step, and combined by loops in float64."""
    corpus, hyper = chunked
    static = STATIC._replace(replicas=count)
    whole = training_of(corpus, hyper, static, 3)
    ends = trained(whole)
    step = jax.jit(
        lambda state, sampled, number, progress: training.train_step(
            state, sampled, number, progress, hyper, static
        )
    )
    base = first(hyper, static)
    own, since, seen = [base] * count, 0, 0
    chunks = list(visits.visits(whole))
    for visit in chunks:
        progress = visits.progress_of(whole, visit)
        for begin in range(0, training.own_steps(visit.steps, 0, count), 2):  # a dispatch
            rows = range(begin, min(begin + 2, training.own_steps(visit.steps, 0, count)))
            for r in range(count):
                for number in (i * count + r for i in rows):
                    if number < visit.steps:
                        own[r], _ = step(own[r], visit.sampled, jnp.int32(number), progress)
            since += len(rows)
            ends_epoch = visit.slot == max(v.slot for v in chunks if v.epoch == visit.epoch)
            at_end = ends_epoch and rows[-1] + 1 == training.own_steps(visit.steps, 0, count)
            if since >= 3 or at_end:
                base = combined(base, own)
                own, since = [base] * count, 0
                for mine, table in zip(ends[seen][0].params, base.params, strict=True):
                    np.testing.assert_allclose(mine, table, atol=2e-6)
                seen += 1
    assert seen == len(ends) > 2
    assert ends[-1][1].step == sum(visit.steps for visit in chunks) == ends[-1][0].step


def adasum(a, b):
    """Of two changes [V, D], by its definition, a row at a time."""
    out = np.zeros_like(a)
    for i, (x, y) in enumerate(zip(a, b, strict=True)):
        product = float(x @ y)
        ours = 1 - product / (2 * float(x @ x)) if x.any() else 1.0
        theirs = 1 - product / (2 * float(y @ y)) if y.any() else 1.0
        out[i] = ours * x + theirs * y
    return out


def combined(base, own):
    """`combination.meet` by loops in float64; the accumulators' changes added up."""

    def table(name):
        whole = np.asarray(getattr(base.params, name), np.float64)
        parts = [np.asarray(getattr(s.params, name), np.float64) - whole for s in own]
        while len(parts) > 1:
            parts = [adasum(*two) for two in zip(parts[::2], parts[1::2], strict=True)]
        return jnp.asarray(whole + parts[0], jnp.float32)

    def memory(old, *new):
        if old.dtype != jnp.float32:
            return old
        return old + sum(np.asarray(x, np.float64) - old for x in new).astype(np.float32)

    return base.replace(
        params=Params(table("input"), table("output")),
        opt_state=jax.tree.map(memory, base.opt_state, *[s.opt_state for s in own]),
    )


# Where they meet


def state_with(hyper, static, change):
    state = first(hyper, static)
    params = jax.tree.map(lambda x: x + jnp.asarray(change, jnp.float32), state.params)
    return state.replace(params=params)


def test_orthogonal_changes_add_up_and_equal_ones_are_their_mean(make_hyper):
    hyper = make_hyper(np.ones(V))
    one, other = np.zeros((V, D)), np.zeros((V, D))
    one[0], other[0] = [1, 0, 0, 0], [0, 2, 0, 0]
    one[1], other[1] = [1, 2, 0, 0], [1, 2, 0, 0]
    one[2] = [3, 0, 0, 1]  # the other left this row alone
    before = first(hyper, STATIC)
    own = [state_with(hyper, STATIC, change) for change in (one, other)]
    after = combination.meet(jax.tree.map(jnp.copy, before), own, 3, 5, STATIC)
    for new, old in zip(after.params, before.params, strict=True):
        found = np.asarray(new - old)
        np.testing.assert_allclose(found[:3], [[1, 2, 0, 0], [1, 2, 0, 0], [3, 0, 0, 1]], atol=1e-6)
        assert not found[3:].any()
    assert after.step == before.step + 5


@pytest.mark.parametrize("optimizer", ["adagrad", "row_adagrad", "adam", "adamw", "sgd"])
@pytest.mark.parametrize("update_", ["dense", "sparse"])
def test_sums_of_the_optimiser_add_up_and_its_means_are_averaged(make_hyper, optimizer, update_):
    static = STATIC._replace(optimizer=optimizer, update=update_)
    hyper, rng = make_hyper(np.ones(V)), np.random.default_rng(1)

    def moved(leaf):
        if leaf.dtype != jnp.float32:
            return leaf + (7 if leaf.ndim == 0 else 1)
        return leaf + jnp.asarray(rng.random(leaf.shape), jnp.float32)

    base = first(hyper, static)
    own = [base.replace(opt_state=jax.tree.map(moved, base.opt_state)) for _ in range(2)]
    parts = [jax.tree.map(np.array, state) for state in (base, *own)]
    own = [jax.tree.map(jnp.array, state) for state in own]
    after = combination.meet(jax.tree.map(jnp.copy, base), own, 7, 13, static)
    share = 1 if "adagrad" in optimizer else 2
    for old, a, b, new in zip(
        *(jax.tree.leaves(s.opt_state) for s in (*parts, after)), strict=True
    ):
        if old.dtype == np.float32:
            np.testing.assert_allclose(new, old + (a - old + b - old) / share, rtol=1e-5)
        elif old.ndim == 0:
            assert new == old + 7  # a count of steps, as long as a replica's


# R alone decides


@pytest.mark.bits
def test_a_training_goes_on_from_any_meeting_to_the_same_bits(chunked):
    corpus, hyper = chunked
    whole = training_of(corpus, hyper, STATIC, 3)
    seen = trained(whole)
    assert len(seen) > 3
    for i, (state, report) in enumerate(seen[:-1]):
        rest = trained(whole, report.position, jax.tree.map(jnp.array, state))
        assert [r for _, r in rest] == [r for _, r in seen[i + 1 :]]
        jax.tree.map(np.testing.assert_array_equal, rest[-1][0], seen[-1][0])


class Together:
    """Threads in the place of processes."""

    def __init__(self, count):
        self.count, self.given = count, [None] * count
        self.barrier = threading.Barrier(count)

    def partners(self, number):
        def swap(level, tree):
            self.given[number] = tree
            self.barrier.wait()
            other = jax.tree.map(jnp.copy, self.given[number ^ (1 << level)])  # it may be donated
            self.barrier.wait()
            return other

        return Partners(self.count, number, swap)


@pytest.mark.bits
@pytest.mark.parametrize("processes", [2, 4])
def test_as_many_processes_as_one_likes_carry_them_to_the_same_bits(chunked, processes):
    corpus, hyper = chunked
    whole = training_of(corpus, hyper, STATIC._replace(replicas=4), 3)
    alone, together = trained(whole), Together(processes)

    def one(number):
        return trained(whole, partners=together.partners(number))

    with ThreadPoolExecutor(processes) as pool:
        found = list(pool.map(one, range(processes)))
    for each in found:
        assert len(each) == len(alone)
        for (state, _), (expected, _) in zip(each, alone, strict=True):
            jax.tree.map(np.testing.assert_array_equal, state.params, expected.params)
    assert [r for _, r in found[0]] == [r for _, r in alone]


@pytest.mark.bits
@pytest.mark.parametrize(("rows", "dim"), [(3, 5), (30, 4), (259, 20), (700, 33), (513, 100)])
def test_however_many_a_process_carries_they_combine_to_the_same_bits(make_hyper, rows, dim):
    rng, static = np.random.default_rng(rows), STATIC._replace(replicas=8)
    params = model.init_params(KEY, rows, dim, "gensim")
    base = update.init_state(params, make_hyper(np.ones(rows)), static)

    def moved(leaf):
        normal = leaf.dtype == jnp.float32
        return leaf + rng.normal(size=leaf.shape).astype(np.float32) if normal else leaf

    own = [jax.tree.map(moved, base) for _ in range(static.replicas)]
    (expected,) = met(1, base, own, static)
    for processes in (2, 4, 8):
        for found in met(processes, base, own, static):
            jax.tree.map(np.testing.assert_array_equal, found, expected)


def met(processes, base, own, static):
    """The state of each of so many processes, of which each carries its share."""
    together = Together(processes)

    def one(number):
        partners = together.partners(number)
        mine = [own[i] for i in partners.share(len(own))]
        mine, whole = jax.tree.map(jnp.copy, (mine, base))  # their memory is the result's
        return jax.tree.map(np.array, combination.meet(whole, mine, 3, 5, static, partners))

    with ThreadPoolExecutor(processes) as pool:
        return list(pool.map(one, range(processes)))


def test_words_and_steps_are_counted_to_the_end(chunked):
    corpus, hyper = chunked
    reports = [r for _, r in trained(training_of(corpus, hyper, STATIC, 3))]
    assert reports[-1].words == 2 * corpus.words and reports[-1].epoch == 2
    assert all(a.words <= b.words and a.step < b.step for a, b in pairwise(reports))
    rows = sum(r.metrics.rows for r in reports)
    alone = STATIC._replace(replicas=1)
    whole = training_of(corpus, hyper, alone, 0)
    assert rows == sum(r.metrics.rows for _, r in trained(whole))


# What is refused


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda corpus: w2v.Config(replicas=3), "`replicas=3`: not a power of two"),
        (lambda corpus: w2v.make_train(corpus, replicas=2), "`replicas=2`: a training as one"),
        (lambda corpus: w2v.sweep(corpus, replicas=2, seeds=2), "`replicas=2`: .* has one"),
    ],
)
def test_what_has_one_replica_refuses_several(call, line):
    lines = [["a", "b", "c", "d", "e", "f"]] * 30
    with pytest.raises(UserError, match=line):
        call(w2v.Corpus.from_sentences(lines, min_count=1))


def test_the_library_trains_with_replicas():
    lines = [["a", "b", "c", "d", "e", "f"]] * 50
    run = w2v.train(
        *(lines,), dim=4, min_count=1, batch_size=128, epochs=3, replicas=2, sync_every=1
    )
    assert np.isfinite(run.loss) and run.history[-1]["words"] == 900


@given(st.integers(1, 5000))
@settings(max_examples=60, deadline=None)
def test_where_replicas_meet_is_decided_by_n_alone(sync_every):
    sizes = {replicas.dispatch_steps(most, 2, sync_every) for most in (1, 64, 100, 10_000)}
    (steps,) = sizes
    rounds = -(-sync_every // steps)
    assert 1 <= steps <= replicas.DISPATCH and sync_every <= rounds * steps < sync_every + rounds
    assert replicas.dispatch_steps(64, 1, sync_every) == 64
