"""A trial of a sweep is the run alone, and trials don't meet."""

from functools import partial
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from w2v_jax import huffman, model, over_trials, sweeping, training, update
from w2v_jax.data import corpus as corpora
from w2v_jax.memory import memory_needed
from w2v_jax.types import StaticConfig

RATES = (0.5, 0.1, 0.3)
EPOCHS = 2
ROOM = ({}, {"window": 1}, {"negatives": 1})  # below what the program has room for
PROGRAMS = {}  # compiled for the one corpus of this file
SHORT = StaticConfig(window=2, negatives=2, batch_size=32, noise="exclude_target", optimizer="sgd")
BLOCKS = SHORT._replace(
    engine="blocks", block=8, group_size=16, negatives_per_group=4, update="sparse"
)
KINDS = {  # few, as each is compiled for the sweep and for the run alone
    "pairs, cbow, touched adam": SHORT._replace(
        model="cbow", update="sparse", optimizer="adam", reduction="mean", epsilon_hat=True
    ),
    "pairs, masked mean": SHORT._replace(
        loss="masked_mean", noise="exclude_contexts", redraw="once", drop_last=True
    ),
    "pairs, paths, the text's order": SHORT._replace(
        loss="hierarchical_softmax", update="sparse", order="text"
    ),
    "blocks": BLOCKS._replace(optimizer="row_adagrad", schedule="linear"),
    "blocks, cbow, dense adam": BLOCKS._replace(model="cbow", update="dense", optimizer="adam"),
}


@pytest.fixture(scope="module")
def corpus(make_corpus):
    rng = np.random.default_rng(0)
    return make_corpus([rng.integers(0, 20, n) for n in rng.integers(1, 12, 40)])


@pytest.fixture
def chunked(monkeypatch):
    """Chunks of 100 tokens, of which the text has several."""
    monkeypatch.setattr(corpora, "CHUNK", 100)


def trial(make_hyper, corpus, static, seed, rate, **fields):
    key = jax.random.key(seed)
    size = len(corpus.vocab.words)
    keep = np.linspace(0.5, 1, size)
    hyper = make_hyper(corpus.vocab.counts + 1, learning_rate=rate, keep_prob=keep, **fields)
    if static.loss == "hierarchical_softmax":
        hyper = hyper.replace(paths=jnp.asarray(huffman.paths(corpus.vocab.counts)))
    tables = model.init_params(jax.random.fold_in(key, 3), size, 8, "xavier")
    return key, hyper, update.init_state(tables, hyper, static)


def alone(key, hyper, state, corpus, static):
    size = corpus.chunk_size
    if (static, size) not in PROGRAMS:
        PROGRAMS[static, size] = training.compile_program(state, key, size, hyper, static, 7)
    program = PROGRAMS[static, size]
    start = jax.tree.map(jnp.copy, state)  # a dispatch takes its state's memory
    whole = training.Training(key, corpus, program, hyper, static, EPOCHS)
    for after, _ in training.train(start, whole):
        last = jax.device_get(after)
    return last


def together(trials, corpus, static, vmap_width=1, devices=1, epochs=(0, EPOCHS)):
    used = jax.devices()[:devices]
    sharded = shard(trials, sweeping.padded(len(trials), used, vmap_width), used)
    text = sweeping.text_of(corpus, used)
    program, sums = compiled(sharded, text, static, vmap_width), []
    for epoch in range(*epochs):
        sharded, metrics = sweeping.train_epoch(
            sharded, corpus, text, program, epoch, EPOCHS, static.order
        )
        sums.append(metrics)
    return of_all(sharded), sums


def compiled(sharded, text, static, vmap_width):
    shape = static, vmap_width, len(sharded), len(sharded[0].active), text[0].tokens.shape
    if shape not in PROGRAMS:
        PROGRAMS[shape] = sweeping.compile_train_chunk(sharded, text, static, vmap_width)
    return PROGRAMS[shape]


def shard(trials, size, devices):
    return sweeping.shard(trials.__getitem__, len(trials), size, devices)


def of_all(sharded):
    """State and activity of all trials."""
    return sweeping.joined([m.replace(key=None) for m in sharded])


def of(whole, i):
    return jax.tree.map(lambda leaf: leaf[i], whole.state)


def equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.mark.bits
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.slow
def test_a_trial_has_the_bits_of_the_run_alone(corpus, chunked, make_hyper, kind):
    static = KINDS[kind]
    rates = enumerate(RATES)
    trials = [trial(make_hyper, corpus, static, i, rate, **ROOM[i]) for i, rate in rates]
    whole, _ = together(trials, corpus, static)
    assert whole.active.all()
    for i, (key, hyper, state) in enumerate(trials):
        expected = alone(key, hyper, state, corpus, static)
        equal(of(whole, i).params, expected.params)
        equal(of(whole, i).step, expected.step)


@pytest.mark.parametrize("kind", ["pairs, cbow, touched adam", "blocks"])
@pytest.mark.slow
def test_vmapped_trials_differ_by_rounding_alone(corpus, chunked, make_hyper, kind):
    static = KINDS[kind]
    trials = [trial(make_hyper, corpus, static, i, rate) for i, rate in enumerate(RATES)]
    one, sums = together(trials, corpus, static)
    three, sums_of_three = together(trials, corpus, static, vmap_width=3)
    close = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
    jax.tree.map(close, one.state.params, three.state.params)
    jax.tree.map(close, sums, sums_of_three)
    equal(one.state.step, three.state.step)


@pytest.mark.bits
@pytest.mark.slow
def test_two_devices_give_the_bits_of_one(corpus, chunked, make_hyper):
    static = KINDS["blocks, cbow, dense adam"]
    trials = [trial(make_hyper, corpus, static, i, rate) for i, rate in enumerate(RATES)]
    one, sums = together(trials, corpus, static)
    two, sums_of_two = together(trials, corpus, static, devices=2)
    equal(one.state.params, jax.tree.map(lambda x: x[:3], two.state.params))
    assert two.active.tolist() == [True] * 3 + [False]  # the padding
    equal(sums, jax.tree.map(lambda x: x[:3], sums_of_two))
    assert len(jax.devices()) >= 2


def test_all_devices_share_one_compilation(make_hyper, corpus):
    seen = []

    def count(event, *_, **__):
        seen.append(event)

    devices = jax.devices()[:4]
    trials = [trial(make_hyper, corpus, SHORT, i, rate) for i, rate in enumerate(RATES)]
    sharded, texts = shard(trials, 4, devices), sweeping.text_of(corpus, devices)
    shared = [(m, text) for m, text in zip(sharded, texts, strict=True)]
    jax.monitoring.register_event_duration_secs_listener(count)
    try:
        rows = sweeping.compile_over(lambda m, text: text.tokens[0, m.hyper.window] + 1, shared, 1)
    finally:
        jax.monitoring.unregister_event_duration_listener(count)
    assert seen.count("/jax/core/compile/backend_compile_duration") == 1
    expected = texts[0].tokens[0, trials[0][1].window] + 1
    assert sweeping.joined(rows(shared)).tolist() == [int(expected)] * 4
    assert [part.device for part in rows(shared)] == devices


@pytest.mark.parametrize(
    ("kind", "vmap_width"),
    [("pairs, cbow, touched adam", 3), ("blocks, cbow, dense adam", 1), ("blocks", 3)],
)
def test_a_diverged_trial_stays_where_it_was_and_the_others_go_on(
    corpus, chunked, make_hyper, kind, vmap_width
):
    static = KINDS[kind]
    rates = (0.1, 0.1, 0.2)
    good = [trial(make_hyper, corpus, static, i, rate) for i, rate in enumerate(rates)]
    key, hyper, state = good[1]
    nan = state.params.input.at[3, 2].set(jnp.nan)
    bad = key, hyper, state.replace(params=state.params._replace(input=nan))
    wild = key, hyper.replace(learning_rate=jnp.float32(jnp.inf)), state
    expected, _ = together(good, corpus, static, vmap_width)
    for diverging, begins in ((wild, state), (bad, bad[2])):
        whole, _ = together([good[0], diverging, good[2]], corpus, static, vmap_width)
        assert whole.active.tolist() == [True, False, True]
        for i in (0, 2):
            equal(of(whole, i).params, of(expected, i).params)
        equal(of(whole, 1).params, begins.params)
        assert of(whole, 1).step == 0


@pytest.mark.slow
def test_the_last_good_state_is_that_of_the_chunk_before(corpus, make_hyper):
    """Under SGD at a rate of 100 the rows grow until they overflow, some epochs on."""
    static = BLOCKS._replace(optimizer="sgd", batch_size=64)
    trials = [trial(make_hyper, corpus, static, i, rate) for i, rate in enumerate((100, 0.1))]
    states = [together(trials, corpus, static, epochs=(0, n)) for n in range(1, 12)]
    active = [whole.active[0] for whole, _ in states]
    end = active.index(False)
    assert end > 0 and not any(active[end:])
    for whole, _ in states[end:]:
        equal(of(whole, 0), of(states[end - 1][0], 0))
        assert whole.active[1]


def test_a_trial_that_does_not_go_on_keeps_its_state(corpus, chunked, make_hyper):
    static = KINDS["blocks"]
    trials = [trial(make_hyper, corpus, static, i, 0.1) for i in range(3)]
    devices = jax.devices()[:1]
    (whole,), text = shard(trials, 3, devices), sweeping.text_of(corpus, devices)
    stopped = (whole.replace(active=jnp.array([True, False, True])),)
    program = compiled(stopped, text, static, vmap_width=1)
    (after,), sums = sweeping.train_epoch(stopped, corpus, text, program, 0, 1)
    equal(of(after, 1), of(whole, 1))
    assert sums.positives[1] == 0 < min(sums.positives[0], sums.positives[2])
    assert of(after, 0).step > 0 < of(after, 2).step


@pytest.mark.slow
@pytest.mark.parametrize(
    ("static", "vmap_width"),
    [
        (SHORT._replace(optimizer="adam", reduction="mean", epsilon_hat=True), 1),
        (SHORT._replace(loss="softmax", model="cbow", optimizer="adagrad"), 1),
        (KINDS["blocks"], 8),
    ],
    ids=["pairs", "softmax", "blocks"],
)
def test_memory_is_estimated(make_corpus, make_hyper, static, vmap_width):
    """Within a factor of what the compiler says, and never far below it."""
    static = static._replace(batch_size=256)
    rng = np.random.default_rng(0)
    corpus = make_corpus(rng.integers(0, 3000, (2000, 10)), vocab_size=3000)
    trials = [trial(make_hyper, corpus, static, i, 0.1) for i in range(8)]
    devices = jax.devices()[:1]
    (whole,), (text,) = shard(trials, 8, devices), sweeping.text_of(corpus, devices)

    def run(*work):
        one = partial(sweeping.train_chunk, static=static, vmap_width=vmap_width)
        each = jax.lax.map if vmap_width == 1 else lambda f, xs: jax.vmap(f)(xs)
        return each(lambda trial: one((*trial, None), text), work)

    progress = jnp.zeros((8, 2), jnp.float32)
    own = whole.state, whole.replace(state=None)
    compiled = jax.jit(run).lower(*own, jnp.zeros((8, 2), jnp.int32), progress).compile()
    kinds = ("argument", "output", "temp")
    real = sum(getattr(compiled.memory_analysis(), f"{kind}_size_in_bytes") for kind in kinds)
    size = corpus.chunk_size
    told = memory_needed(8, static, 3000, 8, trials[0][1], size, 1, devices, vmap_width)
    assert 0.7 * real < told < 3 * real


def test_a_tpus_tables_have_rows_of_whole_registers(make_corpus, make_hyper):
    corpus = make_corpus(np.zeros((4, 10), int), vocab_size=3000)
    hyper, static = (
        make_hyper(corpus.vocab.counts),
        StaticConfig(update="sparse", optimizer="row_adagrad"),
    )
    of = {
        platform: memory_needed(
            1, static, 3000, 100, hyper, 40, 0, [SimpleNamespace(platform=platform)], 1, states=1
        )
        for platform in ("cpu", "gpu", "tpu")
    }
    assert of["cpu"] < of["gpu"]  # the batches of a run
    state = 2 * 3000 * (128 + 2) * 4  # two tables; of each row an accumulator and a place
    assert of["tpu"] - of["gpu"] == 2 * 2 * 3000 * 28 * 4 + state + 4  # one more, of the trial


def test_vmap_width_and_padding():
    devices = jax.devices()[:4]
    assert sweeping.default_vmap_width(9, devices) == 1
    of = {p: [SimpleNamespace(platform=p)] * 2 for p in ("gpu", "tpu")}
    assert {p: sweeping.default_vmap_width(9, of[p]) for p in of} == {"gpu": 5, "tpu": 1}
    assert [sweeping.padded(n, devices, 2) for n in (1, 8, 9)] == [8, 8, 16]


def test_one_after_the_other_in_its_own_memory_is_a_map():
    def function(own, factor):
        first, other = own
        return jax.tree.map(lambda x: factor * x + other, first), jnp.sum(other)

    first = {"a": jnp.arange(6.0).reshape(3, 2), "b": jnp.arange(3.0)}
    others, factor = (jnp.array([1.0, 2.0, 4.0]),), jnp.float32(3)
    expected = jax.lax.map(lambda own: function((own[0], own[1][0]), factor), (first, others))
    found = over_trials.own_memory(function, first, others, factor)
    jax.tree.map(np.testing.assert_array_equal, expected, tuple(found))
