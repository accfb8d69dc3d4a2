"""Chunks, epochs, dispatches, schedules; and that training learns."""

from collections import Counter
from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.experimental.layout import Format, Layout

from w2v_jax import layouts, model, sampling, subsampling, training, update
from w2v_jax.data import corpus as corpora
from w2v_jax.data.corpus import Corpus
from w2v_jax.types import StaticConfig, UserError
from w2v_jax.vectors import similarity

V, D = 30, 4
KEY = jax.random.key(5)
LENGTHS = (4, 7, 1, 11, 3, 2, 21, 5, 6)  # one word is alone, one line longer than a chunk of 16
LINES = np.split(np.random.default_rng(0).integers(0, V, sum(LENGTHS)), np.cumsum(LENGTHS)[:-1])
PLAIN = StaticConfig(
    noise="with_replacement", window=2, negatives=2, batch_size=8, schedule="linear"
)


def start(hyper, static, vocab_size=V, dim=D):
    """The first state, new arrays each time: training gives its state's memory away."""
    return update.init_state(model.init_params(KEY, vocab_size, dim, "gensim"), hyper, static)


def compiled(corpus, hyper, static, steps, **kwargs):
    state = start(hyper, static, **kwargs)
    return training.compile_program(state, KEY, corpus.chunk_size, hyper, static, steps)


def trained(corpus, program, hyper, static, epochs, key=KEY, **kwargs):
    """The last parameters and all reports."""
    first, reports = start(hyper, static, **kwargs), []
    whole = training.Training(key, corpus, program, hyper, static, epochs)
    for state, report in training.train(first, whole):
        reports.append(report)
        params = state.params
    return jax.tree.map(np.asarray, params), reports


# Chunks


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=30), st.integers(1, 15))
def test_chunks_cover_the_text_and_end_at_line_ends_wherever_one_is_in_reach(lengths, size):
    line_ends = np.cumsum(lengths)
    bounds = corpora.cut(line_ends, size)
    assert bounds[0] == 0 and bounds[-1] == line_ends[-1]
    for begin, end in pairwise(bounds.tolist()):
        assert begin < end <= begin + size
        reachable = line_ends[(line_ends > begin) & (line_ends <= begin + size)]
        assert end == (reachable[-1] if len(reachable) else begin + size)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=10), st.data())
def test_a_chunk_holds_its_tokens_with_a_number_a_line_then_padding(lengths, data):
    ends = np.cumsum(lengths)
    begin = data.draw(st.integers(0, ends[-1] - 1))
    end = data.draw(st.integers(begin + 1, ends[-1]))
    corpus = Corpus(np.arange(100, 100 + ends[-1], dtype=np.int32), ends, None, 0, "")
    tokens, line = corpus.arrays(begin, end, end - begin + 2)
    np.testing.assert_array_equal(tokens, [*range(100 + begin, 100 + end), 0, 0])
    numbers = np.repeat(np.arange(len(lengths)), lengths)[begin:end]
    np.testing.assert_array_equal(line, [*(numbers - numbers[0]), -1, -1])
    assert tokens.dtype == line.dtype == np.int32


# Epochs


@pytest.fixture(scope="module")
def of_chunks(make_corpus, make_hyper):
    """A corpus of several chunks that left words out, and programs by their steps a dispatch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpora, "CHUNK", 16)
        corpus = make_corpus(LINES, words=101, vocab_size=V)
        assert len(corpora.cut(corpus.line_ends, 16)) - 1 == 4
        hyper = make_hyper(np.ones(V), learning_rate=0.05)
        return corpus, hyper, {steps: compiled(corpus, hyper, PLAIN, steps) for steps in (1, 7)}


@pytest.fixture
def chunked(monkeypatch, of_chunks):
    """The same, in a test whose chunks are small."""
    monkeypatch.setattr(corpora, "CHUNK", 16)
    return of_chunks


def test_every_token_is_a_centre_once_an_epoch_over_all_chunks(chunked):
    corpus, hyper, programs = chunked
    sampled_chunks = []

    def draw(*args):
        sampled_chunks.append((int(args[1]), programs[7].draw(*args)))
        return sampled_chunks[-1][1]

    _, reports = trained(corpus, programs[7]._replace(draw=draw), hyper, PLAIN, 2)
    once = Counter(np.concatenate([line for line in LINES if len(line) > 1]).tolist())
    for epoch in (0, 1):
        own = [sampled for e, sampled in sampled_chunks if e == epoch]
        centres = [np.asarray(s.tokens)[np.asarray(s.centre_order)[: int(s.centres)]] for s in own]
        assert Counter(np.concatenate(centres).tolist()) == once
        rows = sum(r.metrics.rows for r in reports if r.epoch == epoch + 1)
        assert rows == sum(once.values())


def test_epochs_visit_the_chunks_in_different_orders(chunked):
    corpus, hyper, programs = chunked
    visits = []

    def draw(key, epoch, chunk, *args):
        visits.append((int(epoch), int(chunk)))
        return programs[7].draw(key, epoch, chunk, *args)

    trained(corpus, programs[7]._replace(draw=draw), hyper, PLAIN, 3)
    orders = [[c for e, c in visits if e == epoch] for epoch in range(3)]
    assert [sorted(order) for order in orders] == [list(range(4))] * 3
    assert len(set(map(tuple, orders))) > 1


@pytest.mark.bits
def test_results_do_not_depend_on_the_steps_of_a_dispatch(chunked):
    corpus, hyper, programs = chunked
    (one, first), (other, second) = (
        trained(corpus, programs[steps], hyper, PLAIN, 2) for steps in (1, 7)
    )
    np.testing.assert_array_equal(one.input, other.input)
    np.testing.assert_array_equal(one.output, other.output)
    assert len(first) > len(second) and first[-1].step == second[-1].step == len(first)
    for index in range(4):
        sums = [sum(r.metrics[index] for r in reports) for reports in (first, second)]
        np.testing.assert_allclose(*sums, rtol=1e-6)


GOING_ON = {
    "pairs, skip-gram": PLAIN,
    "pairs, CBOW, dense Adam": PLAIN._replace(model="cbow", schedule="cosine"),
    "pairs, the text's order": PLAIN._replace(order="text"),
    "blocks, skip-gram": PLAIN._replace(
        engine="blocks",
        block=4,
        group_size=8,
        negatives_per_group=4,
        update="sparse",
        optimizer="row_adagrad",
    ),
    "blocks, CBOW": PLAIN._replace(
        model="cbow", engine="blocks", block=4, group_size=8, negatives_per_group=4, update="sparse"
    ),
    "drawn once": PLAIN._replace(redraw="once"),
}


@pytest.mark.bits
@pytest.mark.parametrize("name", GOING_ON)
@pytest.mark.slow
def test_a_training_goes_on_from_any_dispatch_to_the_same_bits(
    monkeypatch, make_corpus, make_hyper, name
):
    if name != "drawn once":  # then a text of one chunk is only shuffled anew
        monkeypatch.setattr(corpora, "CHUNK", 16)
    lines = [*LINES[:4], *[[i] for i in range(16)], *LINES[4:]]  # a chunk without a step
    corpus, static = make_corpus(lines, words=110, vocab_size=V), GOING_ON[name]
    hyper = make_hyper(np.ones(V), keep_prob=np.full(V, 0.8), learning_rate=0.1)
    program = compiled(corpus, hyper, static, steps=2)
    whole = training.Training(KEY, corpus, program, hyper, static, 2)
    seen = [
        (jax.tree.map(np.array, state), report)
        for state, report in training.train(start(hyper, static), whole)
    ]
    assert len({report.position for _, report in seen}) == len(seen)
    for i, (state, report) in enumerate(seen[:-1]):
        rest = [r for _, r in seen[i + 1 :]]
        states, reports = [], []
        state = jax.tree.map(jnp.array, state)
        for state, again in training.train(state, whole, report.position):  # noqa: B020
            states.append(jax.tree.map(np.array, state))
            reports.append(again)
        assert reports == rest
        jax.tree.map(np.testing.assert_array_equal, states[-1], seen[-1][0])
    end = seen[-1][1].position
    assert list(training.train(seen[-1][0], whole, end)) == []


@pytest.mark.bits
@pytest.mark.parametrize("resident", [1, 3, 100])
def test_text_that_stays_on_the_device_changes_nothing(monkeypatch, chunked, resident):
    corpus, hyper, programs = chunked
    given, arrays = [], type(corpus).arrays
    monkeypatch.setattr(type(corpus), "arrays", lambda *args: given.append(1) or arrays(*args))
    results = []
    for kept in (0, resident):
        given.clear()
        whole = training.Training(KEY, corpus, programs[7], hyper, PLAIN, 3, resident=kept)
        for state, last in training.train(start(hyper, PLAIN), whole):  # noqa: B007
            pass
        results.append((jax.tree.map(np.asarray, state), last, len(given)))
    (one, its, all_given), (other, others, fewer) = results
    jax.tree.map(np.testing.assert_array_equal, one, other)
    assert its == others
    assert all_given == 3 * 4 and fewer == 3 * 4 - 2 * min(resident, 4)


def test_a_tail_shorter_than_a_dispatch_changes_nothing_but_its_own_steps(chunked):
    corpus, hyper, programs = chunked
    _, reports = trained(corpus, programs[7], hyper, PLAIN, 1)
    sizes = np.diff([0] + [r.step for r in reports])
    assert sizes.max() < 7 and sizes.sum() == reports[-1].step


def test_words_are_counted_exactly_at_the_ends_of_epochs(chunked):
    corpus, hyper, programs = chunked
    _, reports = trained(corpus, programs[1], hyper, PLAIN, 3)
    ends = {r.epoch: r.words for r in reports}
    assert ends == {1: 101, 2: 202, 3: 303}
    words = [r.words for r in reports]
    assert all(isinstance(w, int) for w in words) and words == sorted(words)
    assert [r.step for r in reports] == list(range(1, len(reports) + 1))


def test_words_are_counted_exactly_where_the_last_chunk_visited_has_no_step(
    make_corpus, make_hyper, chunked
):
    hyper, (_, _, programs) = make_hyper(np.ones(V)), chunked
    corpus = make_corpus([range(10), [1], [2], [3], [4], [5], [6], [7], range(16)], vocab_size=V)
    bounds = corpora.cut(corpus.line_ends, 16)
    np.testing.assert_array_equal(bounds, [0, 16, 17, 33])  # the second chunk is a lone word
    _, reports = trained(corpus, programs[1], hyper, PLAIN, 8)
    assert {r.epoch: r.words for r in reports} == {e: 33 * e for e in range(1, 9)}


def test_the_linear_rate_falls_from_the_first_step_to_the_last(chunked):
    corpus, hyper, programs = chunked
    _, reports = trained(corpus, programs[1], hyper, PLAIN, 2)
    rates = [r.learning_rate for r in reports]
    np.testing.assert_allclose(rates[0], 0.05, rtol=1e-6)
    assert all(later < earlier for earlier, later in pairwise(rates))
    # A step starts where the one before it ended: by words done of words planned.
    done = np.array([0] + [r.words for r in reports[:-1]]) / 202
    np.testing.assert_allclose(rates, 0.05 * (1 - done), atol=0.05 * 2 / 202)
    _, seven = trained(corpus, programs[7], hyper, PLAIN, 2)
    assert seven[-1].learning_rate == rates[-1]


@pytest.fixture
def compilations():
    """Grows by an entry a compilation."""
    heard = []

    def listen(event, duration, **kwargs):
        if event == "/jax/core/compile/backend_compile_duration":
            heard.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    jax.jit(lambda x: x + 1)(jnp.zeros(3))
    assert heard  # it hears
    yield heard
    jax.monitoring.unregister_event_duration_listener(listen)


def test_nothing_is_compiled_after_the_first_epoch(chunked, compilations):
    corpus, hyper, programs = chunked
    state, heard = start(hyper, PLAIN), []
    whole = training.Training(KEY, corpus, programs[7], hyper, PLAIN, 3)
    for _, report in training.train(state, whole):
        heard.append((report.epoch, len(compilations)))
    after_first = max(count for epoch, count in heard if epoch == 1)
    assert heard[-1] == (3, after_first)


@pytest.mark.bits
@pytest.mark.slow
def test_a_text_of_one_chunk_that_is_drawn_once_is_only_shuffled_anew(make_corpus, make_hyper):
    corpus = make_corpus(LINES, vocab_size=V)
    hyper = make_hyper(np.ones(V), keep_prob=np.full(V, 0.8))
    static = PLAIN._replace(redraw="once")
    program, made = compiled(corpus, hyper, static, 3), Counter()
    tokens, line = corpus.arrays(0, sum(LENGTHS), corpus.chunk_size)

    def counted(name):
        def call(*args):
            made[name] += 1
            return getattr(program, name)(*args)

        return call

    def drawn_again(key, epoch, chunk, sampled):
        return program.draw(key, epoch, chunk, tokens, line, hyper).centre_order

    counting = program._replace(draw=counted("draw"), shuffle=counted("shuffle"))
    one, _ = trained(corpus, counting, hyper, static, 3)
    assert made == {"draw": 1, "shuffle": 2}
    other, _ = trained(corpus, program._replace(shuffle=drawn_again), hyper, static, 3)
    np.testing.assert_array_equal(one.input, other.input)
    unshuffled, _ = trained(
        corpus, program._replace(shuffle=lambda *args: args[3].centre_order), hyper, static, 3
    )
    assert (one.input != unshuffled.input).any()


@pytest.mark.bits
def test_training_is_repeatable_and_differs_by_seed(chunked):
    corpus, hyper, programs = chunked
    one, _ = trained(corpus, programs[7], hyper, PLAIN, 1)
    same, _ = trained(corpus, programs[7], hyper, PLAIN, 1)
    np.testing.assert_array_equal(one.input, same.input)
    other, _ = trained(corpus, programs[7], hyper, PLAIN, 1, key=jax.random.key(6))
    assert (other.input != one.input).any()


def test_the_whole_text_as_one_chunk_has_the_same_words_as_centres(make_corpus, make_hyper):
    hyper, corpus = make_hyper(np.ones(V)), make_corpus(LINES, words=101, vocab_size=V)
    static = PLAIN._replace(loss="softmax", optimizer="sgd")
    _, reports = trained(corpus, compiled(corpus, hyper, static, 4), hyper, static, 2)
    assert [sum(r.metrics.rows for r in reports if r.epoch == e) for e in (1, 2)] == [59, 59]
    assert [r.step for r in reports] == [4, 8, 12, 16]
    assert [r.words for r in reports] == [50, 101, 151, 202]
    np.testing.assert_allclose(
        [r.learning_rate for r in reports[1::2]], 0.01 * np.array([9, 1]) / 16
    )


# Learning

GROUPS, TWINS, SIGNS = 5, 2, 3  # a group: 2 words that share 3 context words


@pytest.mark.parametrize("name", ["skipgram", "cbow"])
@pytest.mark.slow
def test_words_that_share_contexts_become_neighbours(make_corpus, make_hyper, name):
    rng, size = np.random.default_rng(0), GROUPS * (TWINS + SIGNS)
    lines = []
    for _ in range(800):
        group = rng.integers(GROUPS)
        first = GROUPS * TWINS + group * SIGNS
        lines.append([first + rng.integers(SIGNS), group * TWINS + rng.integers(TWINS)])
        lines[-1].append(first + rng.integers(SIGNS))
    corpus = make_corpus(lines, vocab_size=size)
    static = PLAIN._replace(model=name, batch_size=32, noise="exclude_target", schedule="constant")
    hyper = make_hyper(corpus.vocab.counts**0.75, learning_rate=0.02)
    program = compiled(corpus, hyper, static, 50, vocab_size=size, dim=8)
    params, reports = trained(corpus, program, hyper, static, 6, vocab_size=size, dim=8)
    loss = [r.metrics.loss / r.metrics.positives for r in reports]
    assert loss[-1] < 0.7 * loss[0]
    twins = params.input[: GROUPS * TWINS]
    near, _ = similarity.most_similar(twins, list(range(len(twins))), 1)
    assert np.ravel(near).tolist() == [word ^ 1 for word in range(len(twins))]


# Nothing to train on


@pytest.mark.parametrize("case", ["lines of one word", "no full batch"])
def test_an_epoch_without_a_step_is_an_error(make_corpus, make_hyper, chunked, case):
    hyper, (_, _, programs) = make_hyper(np.ones(V)), chunked
    lines, static = [[1]] * 16, PLAIN
    if case == "no full batch":
        lines, static = [range(7)] + [[1]] * 9, PLAIN._replace(drop_last=True)
    corpus = make_corpus(lines, vocab_size=V)
    assert sampling.steps_of(7 if static.drop_last else 0, static) == 0
    with pytest.raises(UserError, match="nothing to train on") as caught:
        trained(corpus, programs[7], hyper, static, 2)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["skipgram", "cbow"])
@pytest.mark.slow
def test_runs_of_steps_are_the_same_steps(make_corpus, make_hyper, name):
    """What accelerators take in runs of a static length has the bits of step after step."""
    rng = np.random.default_rng(3)
    corpus = make_corpus([rng.integers(0, 30, 12) for _ in range(60)])
    static = StaticConfig(
        model=name, engine="blocks", block=8, group_size=16, negatives_per_group=4, batch_size=32,
        window=2, update="sparse", optimizer="row_adagrad", noise="with_replacement", negatives=2,
    )  # fmt: skip
    hyper = make_hyper(corpus.vocab.counts, keep_prob=np.full(30, 0.85), learning_rate=0.1)
    tokens, line = map(jnp.asarray, corpus.arrays(0, 720, 720))
    zero = jnp.int32(0)
    sampled = subsampling.sample_chunk(KEY, zero, zero, tokens, line, hyper, static)
    total = int(sampling.steps_of(int(sampled.centres), static))
    assert total % 8 and total > 8
    progress = jnp.array([0.0, 1.0])
    train_steps = partial(training.train_steps, static=static, steps=total)
    plain, sums, _ = jax.jit(train_steps)(start(hyper, static, 30), sampled, zero, progress, hyper)
    in_runs = jax.jit(partial(training.train_steps_in_runs, static=static, length=8))
    runs, of_runs = in_runs(
        start(hyper, static, 30), sampled, zero, jnp.int32(total), progress, hyper
    )
    jax.tree.map(np.testing.assert_array_equal, (plain, sums), (runs, of_runs))


@pytest.mark.parametrize(
    ("platform", "rule"),
    [
        ("gpu", ("sparse", "row_adagrad")),
        ("tpu", ("sparse", "adagrad")),
        ("gpu", ("sparse", "adam")),
        ("tpu", ("dense", "adam")),
    ],
)
def test_a_training_as_accelerators_take_it_is_a_cpus(
    make_corpus, make_hyper, monkeypatch, platform, rule
):
    """Runs started one by one, and tables that lie another way at a program's edges."""
    rng = np.random.default_rng(4)
    corpus = make_corpus([rng.integers(0, V, 12) for _ in range(40)])
    static = StaticConfig(
        engine="blocks", block=4, group_size=8, negatives_per_group=4, batch_size=16, window=2,
        update=rule[0], optimizer=rule[1], noise="with_replacement", schedule="linear",
    )  # fmt: skip
    hyper = make_hyper(corpus.vocab.counts, keep_prob=np.full(V, 0.85), learning_rate=0.01)
    params, reports = trained(corpus, compiled(corpus, hyper, static, 5), hyper, static, 2)

    by_rows = layouts.by_rows

    def by_columns(tree):
        lying = by_rows(tree), by_rows(jax.eval_shape(lambda: tree))
        for one in jax.tree.leaves(lying[0].params):
            assert one.layout.major_to_minor == (0, 1)
        assert lying[0] == lying[1]  # shapes alone are enough
        columns = Layout((1, 0))
        return jax.tree.map(
            lambda x: Format(columns, x.sharding) if isinstance(x, Format) else x, lying[0]
        )

    monkeypatch.setattr(training, "platform_of", lambda tree: platform)
    monkeypatch.setattr(layouts, "by_rows", by_columns)
    there = compiled(corpus, hyper, static, 5)
    static = static._replace(platform=platform)
    theirs, told = trained(corpus, there, hyper, static, 2)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6), params, theirs)
    assert [(x.step, x.words, x.position) for x in told] == [
        (x.step, x.words, x.position) for x in reports
    ]
    for own, other in zip(reports, told, strict=True):
        np.testing.assert_allclose(other.metrics, own.metrics, rtol=1e-4)
        assert other.learning_rate == pytest.approx(own.learning_rate)
    state = start(hyper, static)
    once = training.Training(KEY, corpus, there, hyper, static, 1)
    for after, _ in training.train(state, once):
        rows_last = after.params.input.format.layout.major_to_minor == (1, 0)
        assert rows_last == (platform == "tpu") and int(after.step) > 0
