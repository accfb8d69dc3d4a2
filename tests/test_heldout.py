"""Held-out measures against NumPy loops in float64 and distributions that are known."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference

from w2v_jax import blocks, heldout, ingest, sampling, train
from w2v_jax.corpus import Source
from w2v_jax.types import Params, Static, UserError, Vocab

V, D = 12, 5
LINES = [[0, 1, 2, 3, 0, 4, 1], [5], [0, 2, 0, 6, 7, 1, 2, 8], [3, 9, 0, 1, 10]]
COUNTS = np.array([40.0, 31, 17, 12, 9, 5, 3, 2, 2, 1, 1, 1])
KEEP = np.array([0.4, 0.5, 0.8, *[1] * 9])


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
    once = ingest.load(
        source, cache_dir="none", min_count=min_count, max_vocab=0, unk=unk, eos=eos, max_words=0
    )
    again = heldout.read(source.paths, once.vocab, unk=unk, eos=eos)
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
    text = heldout.read([path], Vocab(words, np.ones(len(words))), unk=unk, eos=False)
    assert (text.ids.tolist(), text.line_ends.tolist()) == (ids, ends)


def test_a_text_without_a_word_of_the_vocabulary_is_refused(tmp_path):
    path = tmp_path / "new.txt"
    path.write_text("x y\n")
    with pytest.raises(UserError, match=r"new\.txt: holds no word of the vocabulary"):
        heldout.read([str(path)], Vocab(("a",), np.ones(1)), unk="drop", eos=True)
    with pytest.raises(UserError, match="--unk=no"):
        heldout.read([str(path)], Vocab(("a",), np.ones(1)), unk="no", eos=True)


# Loss

SETTINGS = [
    dict(model="cbow", noise="without_replacement", redraw="once", cbow_legacy_gradient=True),
    dict(noise="with_replacement", expected_window=True),
    dict(noise="with_replacement", loss="masked_mean", drop_last=True),
    dict(loss="softmax"),
    dict(loss="softmax", model="cbow"),
    dict(engine="blocks", noise="with_replacement"),
    dict(engine="blocks", model="cbow", expected_window=True),
]


def static_of(**fields):
    blocked = dict(block=2, group=4, shared_noise=3, batch_size=8)
    small = dict(batch_size=8) if fields.get("engine") != "blocks" else blocked
    return Static(**{"window": 2, "negatives": 2, **small, **fields})


def naive_loss(params, stream, hyper, static):
    """A row and an output at a time, in float64, of every batch."""
    table, output = (np.asarray(t, np.float64) for t in params)
    total = count = 0.0
    make = blocks.make_blocks if static.engine == "blocks" else sampling.make_batch
    make = jax.jit(partial(make, static=static))
    for step in range(-(-int(stream.centres) // static.batch_size)):
        batch = make(stream, jnp.int32(step), hyper)
        if static.engine == "blocks":
            batch = blocks.expand(batch, V, hyper, static)
        for row in zip(*map(np.asarray, batch), strict=True):
            inputs, shares, outputs, labels, weights = row
            used = np.flatnonzero(shares)
            h = sum((shares[i] * table[inputs[i]] for i in used), np.zeros(D))
            for o in np.flatnonzero(weights):
                if static.loss == "softmax":
                    scores = output @ h
                    nats = np.log(np.sum(np.exp(scores))) - scores[outputs[o]]
                else:
                    sign = 1 if labels[o] else -1
                    nats = -np.log(reference.sigmoid(sign * (output[outputs[o]] @ h)))
                total += weights[o] * nats
                count += weights[o] * labels[o]
    return total / count


@pytest.mark.parametrize("fields", SETTINGS, ids=str)
def test_the_loss_is_that_of_the_batches(params, text, make_hyper, fields):
    static = static_of(**fields)
    hyper = make_hyper(COUNTS, keep=KEEP)
    arrays = train.chunk_arrays(text, 0, len(text.ids), len(text.ids) + 3)
    stream = jax.jit(partial(heldout.draw, static=static))(*arrays, hyper)
    value = jax.jit(partial(heldout.loss, static=static))(params, stream, hyper)
    assert int(stream.centres) % static.batch_size  # a batch that isn't full counts as well
    assert value == pytest.approx(naive_loss(params, stream, hyper, static), rel=1e-5)


@pytest.mark.parametrize("fields", [dict(drop_last=True), dict(engine="blocks")], ids=str)
def test_members_under_vmap_have_the_loss_that_they_have_alone(params, text, make_hyper, fields):
    static = static_of(noise="with_replacement", **fields)
    members = [make_hyper(COUNTS, keep=k, window=w) for k, w in ((KEEP, 2), (KEEP / 3, 1))]
    arrays = train.chunk_arrays(text, 0, len(text.ids), len(text.ids))
    tokens, line = map(jnp.asarray, arrays)

    def whole(hyper):
        stream = heldout.draw(tokens, line, hyper, static)
        return heldout.loss(params, stream, hyper, static)

    both = jax.jit(jax.vmap(whole))(jax.tree.map(lambda *leaves: jnp.stack(leaves), *members))
    alone = [jax.jit(whole)(hyper) for hyper in members]
    assert alone[0] != alone[1]
    np.testing.assert_allclose(both, alone, rtol=1e-6)


# Windows and perplexity


def naive_pairs(lines, window):
    """centre, context and weight of every place of every window."""
    for line in lines:
        for i, centre in enumerate(line):
            for j, context in enumerate(line):
                if 0 < abs(i - j) <= window:
                    yield centre, context, 1 - (abs(i - j) - 1) / window


def test_skipgram_windows_are_all_pairs_once(text):
    expected = {}
    for c, o, weight in naive_pairs(LINES, 3):
        expected[c, o] = expected.get((c, o), 0) + weight
    found = heldout.windows(text, 3, "skipgram")
    centres = found.centres[found.row].tolist()
    assert len(set(found.centres.tolist())) == len(found.centres)
    pairs = dict(
        zip(zip(centres, found.contexts.tolist(), strict=True), found.weights, strict=True)
    )
    assert len(pairs) == len(centres) and pairs == pytest.approx(expected)


def test_cbow_windows_are_all_places_with_a_context(text):
    found = heldout.windows(text, 2, "cbow")
    assert found.centres.tolist() == [word for line in LINES if len(line) > 1 for word in line]
    assert found.contexts[0][found.exists[0] > 0].tolist() == [1, 2]
    assert found.contexts[2].tolist() == [0, 1, 3, 0] and found.exists[2].all()
    third_line = len(LINES[0])
    assert found.exists[third_line].tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("architecture", ["skipgram", "cbow"])
def test_a_text_of_single_words_has_no_windows(make_corpus, architecture):
    with pytest.raises(UserError, match="no two words side by side"):
        heldout.windows(make_corpus([[0], [1]]), 2, architecture)


@cache
def perplexity_of(static):
    return jax.jit(partial(heldout.perplexity, static=static))


def naive_perplexity(params, hyper, window, static):
    table, output = (np.asarray(t, np.float64) for t in params)
    bias = -np.log(np.asarray(hyper.keep, np.float64))
    if static.loss != "softmax":
        bias += np.log(np.asarray(hyper.noise, np.float64))
    total = count = 0.0

    def nats(h, word):
        scores = output @ h + bias
        return np.log(np.sum(np.exp(scores))) - scores[word]

    if static.model == "skipgram":
        for c, o, weight in naive_pairs(LINES, window):
            total, count = total + weight * nats(table[c], o), count + weight
        return np.exp(total / count)
    for line in LINES:
        for i, centre in enumerate(line):
            around = [(j, abs(i - j)) for j in range(len(line)) if 0 < abs(i - j) <= window]
            law = {j: 1.0 for j, _ in around}
            if static.expected_window:
                law = {j: max(1 - (d - 1) / int(hyper.window), 0) for j, d in around}
            if law:
                h = sum(w * table[line[j]] for j, w in law.items()) / sum(law.values())
                total, count = total + nats(h, centre), count + 1
    return np.exp(total / count)


@pytest.mark.parametrize(
    "fields",
    [
        dict(),
        dict(loss="softmax"),
        dict(model="cbow"),
        dict(model="cbow", expected_window=True),
        dict(model="cbow", loss="softmax"),
    ],
    ids=str,
)
def test_perplexity_in_chunks_is_that_of_each_window(params, text, make_hyper, monkeypatch, fields):
    monkeypatch.setattr(heldout, "ROWS", 4)
    monkeypatch.setattr(heldout, "PAIRS", 7)
    static = static_of(**fields)
    of_text = heldout.windows(text, 3, static.model)
    measure = jax.jit(partial(heldout.perplexity, static=static))
    for window in (2, 1):
        hyper = make_hyper(COUNTS**0.75, keep=KEEP, window=window)
        value = measure(params, hyper, of_text)
        assert value == pytest.approx(naive_perplexity(params, hyper, 3, static), rel=1e-5)
    assert measure._cache_size() == 1


@pytest.mark.parametrize("architecture", ["skipgram", "cbow"])
def test_perplexity_is_infinite_where_noise_never_draws_a_word(
    params, text, make_hyper, architecture
):
    perplexity = perplexity_of(static_of(model=architecture))
    of_text = heldout.windows(text, 2, architecture)
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
    centre, context = (x.reshape(-1).astype(np.int32) for x in np.indices((V, V)))
    of_p = heldout.SkipgramWindows(
        np.arange(V, dtype=np.int32), centre, context, p.reshape(-1).astype(np.float32)
    )
    true = np.exp(-np.sum(p * np.log(p / p.sum(axis=1, keepdims=True))))
    noise = COUNTS**power / np.sum(COUNTS**power)
    perplexity = perplexity_of(static_of())
    for keep in (np.ones(V), KEEP):
        tables, hyper = optimum(p, keep, noise, 5), make_hyper(noise, keep=keep)
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
