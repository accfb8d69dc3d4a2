"""Held-out measures against NumPy loops in float64 and distributions that are known."""

import dataclasses
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from messages import told

from experiments.cli.config import RunConfig
from experiments.sweeps import design
from experiments.sweeps.compare import LOSS_KEYS
from w2v_jax import beginning, checks, heldout, heldout_text, subsampling, training, update
from w2v_jax.data import loader
from w2v_jax.data.sources import Source
from w2v_jax.types import Params, StaticConfig, UserError, Vocab

V, D = 13, 5
LINES = [[0, 1, 2, 3, 0, 4, 1], [5], [0, 2, 0, 6, 7, 1, 2, 8], [3, 9, 0, 1, 10]]
COUNTS = np.array([40.0, 31, 17, 12, 9, 5, 3, 2, 2, 1, 1, 1, 1])
KEEP = np.array([0.4, 0.5, 0.8, *[1] * 10])


@pytest.fixture
def params():
    draw = np.random.default_rng(4)
    return Params(*(jnp.asarray(draw.normal(size=(V, D)), jnp.float32) for _ in range(2)))


@pytest.fixture
def text(make_corpus):
    return make_corpus(LINES, vocab_size=V)


# Reading


@pytest.mark.parametrize("unk", ["keep", "drop"])
@pytest.mark.parametrize("eos", [False, True])
@pytest.mark.parametrize("min_count", [1, 2])
def test_the_text_trained_on_is_read_as_it_was(tmp_path, unk, eos, min_count):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfa b <unk> a\n\nc\r\nb a b \xc3\xa9\n rare\na b \xc3\xa9")
    source = Source("files", (str(path),), "")
    once = loader.load(
        source, cache_dir="none", min_count=min_count, max_vocab=0, unk=unk, eos=eos, max_words=0
    )
    again = heldout_text.read(source.paths, once.vocab, unk=unk, eos=eos)
    for name in ("ids", "line_ends"):
        ours, theirs = getattr(again, name), getattr(once, name)[:]
        assert ours.dtype == theirs.dtype and ours.tolist() == theirs.tolist()
    assert (again.words, again.sha256) == (once.words, once.sha256)


@pytest.mark.parametrize(
    ("words", "unk", "ids", "ends"),
    [
        (("a", "<unk>", "b"), "keep", [0, 1, 1, 2, 2], [2, 3, 5]),
        (("a", "<unk>", "b"), "drop", [0, 1, 2, 2], [1, 2, 4]),  # <unk> itself is a word there
        (("a", "b"), "keep", [0, 1, 1], [1, 3]),
        (("a", "b"), "drop", [0, 1, 1], [1, 3]),
    ],
)
def test_new_words(tmp_path, words, unk, ids, ends):
    path = tmp_path / "new.txt"
    path.write_text("a new\n\n<unk>\nb b\n")
    text = heldout_text.read([path], Vocab(words, np.ones(len(words))), unk=unk, eos=False)
    assert (text.ids.tolist(), text.line_ends.tolist()) == (ids, ends)


def test_a_text_without_a_word_of_the_vocabulary_is_refused(tmp_path):
    path = tmp_path / "new.txt"
    path.write_text("x y\n")
    with pytest.raises(UserError, match=r"new\.txt: holds no word of the vocabulary"):
        heldout_text.read([str(path)], Vocab(("a",), np.ones(1)), unk="drop", eos=True)
    with told("--unk=no"):
        heldout_text.read([str(path)], Vocab(("a",), np.ones(1)), unk="no", eos=True)


# Windows


def naive_pairs(line, window):
    """Position of the centre, centre, context and weight of every slot of every window."""
    for i, centre in enumerate(line):
        for j, context in enumerate(line):
            if 0 < abs(i - j) <= window:
                yield i, centre, context, 1 - (abs(i - j) - 1) / window


def test_windows_are_all_positions_with_a_context(text):
    found = heldout_text.windows(text, 3)
    expected = [pair[1:] for line in LINES for pair in naive_pairs(line, 3)]
    position, slot = np.nonzero(found.weights)
    pairs = zip(
        found.centres[position].tolist(),
        found.contexts[position, slot].tolist(),
        found.weights[position, slot].tolist(),
        strict=True,
    )
    assert [x for pair in pairs for x in pair] == pytest.approx([x for e in expected for x in e])
    assert found.centres.tolist() == [word for line in LINES if len(line) > 1 for word in line]
    assert found.types[found.row].tolist() == found.centres.tolist()
    assert found.ends.tolist() == [7, 7, 15, 20]  # nothing of the second line
    assert found.contexts[2].tolist() == [0, 0, 1, 3, 0, 4]


@pytest.mark.parametrize(("size", "parts"), [(20, 1), (1499, 1), (1500, 2), (5200, 5)])
def test_a_text_of_one_line_is_measured_in_parts(make_corpus, size, parts):
    ids = np.arange(size) % V
    whole, lines = (
        heldout_text.windows(make_corpus([ids]), 2),
        heldout_text.windows(make_corpus([ids] * 2), 2),
    )
    assert lines.ends.tolist() == [size, 2 * size]
    assert len(whole.ends) == parts and whole.ends[-1] == size
    lengths = np.diff(whole.ends, prepend=0)
    assert lengths.max() <= lengths.min() + 1 <= 1500
    assert (whole.weights[2:-2] > 0).all()  # windows run on from part to part


def test_a_text_of_single_words_has_no_windows(make_corpus):
    with pytest.raises(UserError, match="no two words side by side"):
        heldout_text.windows(make_corpus([[0], [1]]), 2)


# Loss and perplexity


def static_of(**fields):
    blocked = dict(block=2, group_size=4, negatives_per_group=3, batch_size=8)
    small = dict(batch_size=8) if fields.get("engine") != "blocks" else blocked
    return StaticConfig(**{"window": 2, "negatives": 2, **small, **fields})


@cache
def measure_of(static, perplexity=True):
    return jax.jit(partial(heldout.measure, static=static, perplexity=perplexity))


def positives(params, hyper, line, window, static):
    """Hidden vector, word, weight in the text and centre of each of a line's positives."""
    table = np.asarray(params.input, np.float64)
    if static.model == "skipgram":
        for _, c, o, weight in naive_pairs(line, window):
            yield table[c], o, weight, c
        return
    for i, centre in enumerate(line):
        around = [(j, abs(i - j)) for j in range(len(line)) if 0 < abs(i - j) <= window]
        law = {j: 1.0 for j, _ in around}
        if static.expected_window:
            law = {j: max(1 - (d - 1) / int(hyper.window), 0) for j, d in around}
        if law:
            yield (
                sum(w * table[line[j]] for j, w in law.items()) / sum(law.values()),
                centre,
                1,
                None,
            )


def naive_measure(params, hyper, window, static):
    """A positive and a word at a time, in float64: loss and -log p, [lines, 2]."""
    output = np.asarray(params.output, np.float64)
    keep, noise = np.asarray(hyper.keep_prob, np.float64), np.asarray(hyper.noise, np.float64)
    softmax = static.loss == "softmax"
    loss, nats = np.zeros((len(LINES), 2)), np.zeros((len(LINES), 2))
    for i, line in enumerate(LINES):
        for h, o, weight, centre in positives(params, hyper, line, window, static):
            scores = output @ h
            shifted = scores - np.log(keep) + (0 if softmax else np.log(noise))
            nats[i] += weight * (np.log(np.sum(np.exp(shifted))) - shifted[o]), weight
            if softmax:
                value = np.log(np.sum(np.exp(scores))) - scores[o]
            else:
                value, drawn = -np.log(reference.sigmoid(scores[o])), noise.copy()
                if static.noise != "with_replacement":
                    drawn[o] = 0
                if static.noise != "skip_target":
                    drawn /= drawn.sum()
                for w in range(V):
                    share = drawn[w]
                    value -= int(hyper.negatives) * share * np.log(reference.sigmoid(-scores[w]))
            weight *= keep[o] * (1 if centre is None else keep[centre])
            loss[i] += weight * value, weight
    return loss, nats


TASKS = [
    dict(noise="with_replacement"),
    dict(noise="exclude_target"),
    dict(noise="skip_target"),
    dict(loss="softmax"),
    dict(model="cbow", noise="with_replacement"),
    dict(model="cbow", noise="skip_target"),
    dict(model="cbow", noise="exclude_contexts", expected_window=True),
    dict(model="cbow", loss="softmax"),
]


@pytest.mark.parametrize("fields", TASKS, ids=str)
def test_measures_in_parts_are_those_of_each_positive(
    params, text, make_hyper, monkeypatch, fields
):
    monkeypatch.setattr(heldout, "ROWS", 4)
    monkeypatch.setattr(heldout, "WORDS", 5)  # the third part holds two words of the second
    monkeypatch.setattr(heldout, "PAIRS", 7)
    static = static_of(**fields, negatives=7)
    of_text = heldout_text.windows(text, 3)
    measure = jax.jit(partial(heldout.measure, static=static))
    for window, k, power in ((2, 2, 0.75), (1, 2, 0.75), (2, 7, 0.75), (2, 2, 0.1)):
        hyper = make_hyper(COUNTS**power, keep_prob=KEEP, window=window, negatives=k)
        found = measure(params, hyper, of_text)
        expected = naive_measure(params, hyper, 3, static)
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5)
            assert heldout.mean(ours) == pytest.approx(theirs[:, 0].sum() / theirs[:, 1].sum())
    assert measure._cache_size() == 1


# What may differ between two programs that are trained for one task, and is no part of it.
APART = [
    dict(engine="blocks"),
    dict(engine="blocks", block=4, group_size=8, negatives_per_group=16, batch_size=16),
    dict(batch_size=64, drop_last=True, redraw="once", reduction="mean"),
    dict(window=9, dynamic_window=False, full_windows=True),
    dict(expected_window=True),
    dict(negatives=9, update="sparse", optimizer="sgd", schedule="linear"),
    dict(loss="masked_mean"),
]


@pytest.mark.parametrize("architecture", ["skipgram", "cbow"])
def test_equal_tables_have_equal_measures_however_they_are_trained(
    params, text, make_hyper, architecture
):
    of_text, hyper = heldout_text.windows(text, 3), make_hyper(COUNTS**0.75, keep_prob=KEEP)

    def program(**fields):
        static = static_of(model=architecture, **fields)
        return measure_of(static).lower(params, hyper, of_text).as_text()

    for fields in APART:
        # CBOW's mean of the contexts weighs them, or not: its hidden layer is another.
        same = architecture == "skipgram" or not fields.get("expected_window")
        assert (program(**fields) == program()) == same, fields
    for fields in (dict(noise="with_replacement"), dict(loss="softmax")):
        assert program(**fields) != program()
    of_training = dict(learning_rate=9.0, beta1=0.1, beta2=0.2, epsilon=1.0, weight_decay=1.0)
    other = make_hyper(COUNTS**0.75, keep_prob=KEEP, window=1, **of_training)
    measure = measure_of(static_of(model=architecture))
    for a, b in zip(*(measure(params, h, of_text) for h in (hyper, other)), strict=True):
        assert a.tolist() == b.tolist()


def other_values(field, value):
    """Values of a flag that are not this one."""
    if field.type is bool:
        return [not value]
    choices = field.metadata["choices"]
    return (
        [v for v in choices if v != value]
        if choices
        else [2 * value + (0.5 if field.type is float else 0)]
    )


@pytest.mark.slow
def test_settings_compare_by_the_loss_unless_it_depends_on_what_they_differ_in(params, text):
    """All flags that can be swept, one changed at a time, with the same tables."""
    of_text, vocab = heldout_text.windows(text, 3), Vocab(tuple("abcdefghijklm"), COUNTS)
    base = RunConfig(subsample=0.05, noise="with_replacement")
    programs = {}

    @cache
    def program(config):
        static, hyper = config.static(), beginning.make_hyper(config, vocab)
        lowered = measure_of(static, False).lower(params, hyper, of_text)
        return programs.setdefault(lowered.as_text(), measure_of(static, False))

    def loss_of(config):
        measure = program(config)
        return heldout.mean(measure(params, beginning.make_hyper(config, vocab), of_text).loss)

    def goes_together(config):
        try:
            checks.check(config.static())
        except UserError:
            return False
        return True

    depends_on = set()
    for field in dataclasses.fields(RunConfig):
        if field.metadata["result"] and field.name not in design.REFUSED:
            others = other_values(field, getattr(base, field.name))
            changed = [dataclasses.replace(base, **{field.name: other}) for other in others]
            changed = [config for config in changed if goes_together(config)]
            if any(loss_of(config) != loss_of(base) for config in changed):
                depends_on.add(field.name)
    assert depends_on == {key for key in LOSS_KEYS if key not in design.REFUSED}


def test_trials_under_vmap_are_measured_as_alone(params, text, make_hyper):
    static = static_of(noise="with_replacement")
    trials = [make_hyper(COUNTS, keep_prob=k, negatives=n) for k, n in ((KEEP, 2), (KEEP / 3, 1))]
    tables = [params, Params(*(x / 2 for x in params))]
    of_text = heldout_text.windows(text, 2)
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *zip(tables, trials, strict=True))

    @jax.jit
    @jax.vmap
    def both(trial):
        return heldout.measure(*trial, of_text, static)

    alone = [measure_of(static)(p, h, of_text) for p, h in zip(tables, trials, strict=True)]
    for name, x in both(stacked)._asdict().items():
        np.testing.assert_allclose(x, [getattr(a, name) for a in alone], rtol=1e-5)


def test_the_loss_alone_is_the_same(params, text, make_hyper):
    of_text, hyper = heldout_text.windows(text, 3), make_hyper(COUNTS, keep_prob=KEEP)
    alone, both = (measure_of(static_of(), p)(params, hyper, of_text) for p in (False, True))
    assert alone.nats is None
    np.testing.assert_allclose(alone.loss, both.loss, rtol=1e-6)


@pytest.mark.parametrize(
    "fields",
    [
        dict(noise="exclude_target"),
        dict(engine="blocks", noise="with_replacement", model="cbow", dynamic_window=False),
    ],
    ids=str,
)
@pytest.mark.slow
def test_the_loss_is_what_training_reports_on_average(params, text, make_hyper, fields):
    """400 epochs at rate 0, at 4 standard errors: one such test in 16,000 fails by chance."""
    train_step = dict(batch_size=24, group_size=8, block=8, negatives_per_group=5, window=3)
    static = static_of(**{**train_step, "optimizer": "sgd", **fields})
    hyper = make_hyper(COUNTS**0.75, window=3, learning_rate=0.0)
    tokens, line = map(jnp.asarray, text.arrays(0, len(text.ids), len(text.ids)))
    state = update.init_state(params, hyper, static)

    def epoch(seed):
        zero, progress = jnp.int32(0), jnp.zeros(2)
        sampled = subsampling.sample_chunk(
            jax.random.key(seed), zero, zero, tokens, line, hyper, static
        )
        _, sums, _ = training.train_steps(
            state, sampled, zero, progress, hyper, static=static, steps=9
        )
        return sums.loss, sums.positives

    loss, count = (np.asarray(x, float) for x in jax.jit(jax.vmap(epoch))(jnp.arange(400)))
    found = measure_of(static)(params, hyper, heldout_text.windows(text, 3))
    exact = heldout.mean(found.loss)
    assert count.mean() == pytest.approx(float(found.loss[:, 1].sum()), rel=0.05)
    error = np.std(loss - exact * count, ddof=1) / np.sqrt(len(loss)) / count.mean()
    assert 0 < error < 0.01 * exact
    assert abs(loss.sum() / count.sum() - exact) < 4 * error


def perplexity_of(static):
    def perplexity(*args):
        return np.exp(heldout.mean(measure_of(static)(*args).nats))

    return perplexity


@pytest.mark.parametrize("architecture", ["skipgram", "cbow"])
def test_perplexity_is_infinite_where_noise_never_draws_a_word(
    params, text, make_hyper, architecture
):
    perplexity = perplexity_of(static_of(model=architecture))
    of_text = heldout_text.windows(text, 2)
    unheard = make_hyper(np.where(np.arange(V) == 11, 0, COUNTS))  # not in the text
    assert np.isfinite(perplexity(params, unheard, of_text))
    unheard = make_hyper(np.where(np.arange(V) == 9, 0, COUNTS))
    assert perplexity(params, unheard, of_text) == np.inf


def joint():
    """A joint distribution of centre and context over V words, each p(. | c) another."""
    p = np.random.default_rng(8).gamma(0.5, size=(V, V)) * COUNTS[None, :] + 0.01
    return p / p.sum()


def optimum(p, keep, noise, negatives):
    """Tables of D = V whose scores are negative sampling's optimum: the identity and s^T."""
    kept = p / p.sum(axis=1, keepdims=True) * keep[None, :]
    kept /= kept.sum(axis=1, keepdims=True)
    scores = np.log(kept) - np.log(negatives * noise)[None, :]
    return Params(jnp.eye(V), jnp.asarray(scores.T, jnp.float32))


@pytest.mark.parametrize("power", [0, 0.5, 0.75, 1])
def test_at_the_optimum_any_noise_and_subsampling_give_the_true_perplexity(make_hyper, power):
    p = joint()
    words = np.arange(V, dtype=np.int32)
    every, ends = np.tile(words, (V, 1)), np.array([V], np.int32)
    of_p = heldout_text.Windows(words, every, p.astype(np.float32), words, words, ends)
    true = np.exp(-np.sum(p * np.log(p / p.sum(axis=1, keepdims=True))))
    noise = COUNTS**power / np.sum(COUNTS**power)
    perplexity = perplexity_of(static_of())
    for keep in (np.ones(V), KEEP):
        tables, hyper = optimum(p, keep, noise, 5), make_hyper(noise, keep_prob=keep)
        value = perplexity(tables, hyper, of_p)
        assert value == pytest.approx(true, rel=1e-5)
        uncorrected = perplexity(tables, make_hyper(np.ones(V)), of_p)
        if power or keep is KEEP:
            assert abs(uncorrected / true - 1) > 0.01


def test_the_optimum_when_noise_leaves_out_its_target(make_hyper):
    """What the docstring of `perplexity` says of exclude_target, by the slope of the loss."""
    p = joint()[0] / joint()[0].sum()
    noise = COUNTS**0.75 / np.sum(COUNTS**0.75)
    a = np.sum(p / (1 - noise))
    scores = np.log(p) - np.log(2 * noise) - np.log(a - p / (1 - noise))
    slope = -p * reference.sigmoid(-scores)
    for target in range(V):
        others = np.where(np.arange(V) == target, 0, noise)
        slope += p[target] * 2 * others / others.sum() * reference.sigmoid(scores)
    np.testing.assert_allclose(slope, 0, atol=1e-12)


def test_the_optimum_when_noise_that_hits_its_target_is_skipped(make_hyper):
    """The docstring again: under skip_target the odds stand in place of the probability."""
    p = joint()[0] / joint()[0].sum()
    noise = COUNTS**0.75 / np.sum(COUNTS**0.75)
    scores = np.log(p) - np.log(2 * noise) - np.log(1 - p)
    slope = -p * reference.sigmoid(-scores)
    for target in range(V):
        others = np.where(np.arange(V) == target, 0, noise)
        slope += p[target] * 2 * others * reference.sigmoid(scores)
    np.testing.assert_allclose(slope, 0, atol=1e-12)
