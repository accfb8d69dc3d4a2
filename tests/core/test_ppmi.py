"""PPMI and its SVD against loops in float64, and trainings that begin with them."""

import itertools
import json
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fuzzing import cases
from hypothesis import given
from hypothesis import strategies as st
from interrupted import arguments, metrics_of, signalled
from messages import told
from scipy import sparse
from scripts import QUICK, start

import w2v_jax as w2v
from w2v_jax import beginning, ppmi, sampling, subsampling
from w2v_jax.checkpoint import Checkpoints
from w2v_jax.config import Config
from w2v_jax.data import corpus as corpora
from w2v_jax.data import id_cache
from w2v_jax.data.corpus import Corpus
from w2v_jax.defaults import resolve
from w2v_jax.types import UserError, Vocab
from w2v_jax.vectors import io

V = 6
LINES = st.lists(st.lists(st.integers(0, V - 1), min_size=1, max_size=7), min_size=1, max_size=4)
START = "--init=ppmi_svd"


def corpus_of(lines):
    ids, ends = np.concatenate(lines).astype(np.int32), np.cumsum([len(line) for line in lines])
    vocabulary = Vocab(tuple("abcdef"[:V]), np.bincount(ids, minlength=V))
    return Corpus(ids, ends.astype(np.int64), vocabulary, len(ids), "x")


def counted(lines, keep, window, dynamic):
    """Over all that subsampling may leave of a line, and all windows that may be drawn."""
    found = np.zeros((V, V))
    for line in lines:
        for mask in itertools.product([False, True], repeat=len(line)):
            chance = np.prod(
                [keep[w] if on else 1 - keep[w] for w, on in zip(line, mask, strict=True)]
            )
            left = [word for word, on in zip(line, mask, strict=True) if on]
            spans = range(1, window + 1) if dynamic else [window]
            for span, i in itertools.product(spans, range(len(left))):
                for j in range(max(i - span, 0), min(i + span + 1, len(left))):
                    if j != i:
                        found[left[i], left[j]] += chance / len(spans)
    return found


@cases(40)
@given(LINES, st.lists(st.floats(0, 1), min_size=V, max_size=V), st.integers(1, 4), st.booleans())
def test_counts_are_the_mean_over_all_that_may_be_drawn(lines, keep, window, dynamic):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ppmi, "LEAST", 0.0)
        found = ppmi.counts(corpus_of(lines), np.array(keep), window, dynamic).toarray()
    right = counted(lines, keep, window, dynamic)
    np.testing.assert_allclose(found, right, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(found, found.T)


def test_words_that_are_left_out_as_too_far_weigh_next_to_nothing():
    line = [0] * 400
    keep = np.full(V, 0.05)
    corpus = corpus_of([line])
    found = ppmi.counts(corpus, keep, 5, True)[0, 0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ppmi, "LEAST", 0.0)
        whole = ppmi.counts(corpus, keep, 5, True)[0, 0]
    assert 0.998 * whole < found < whole


def test_counts_end_where_training_cuts_a_line_and_read_a_file_of_ids(monkeypatch, tmp_path):
    monkeypatch.setattr(corpora, "CHUNK", 5)
    line = [0, 1, 2, 3, 4, 5, 0, 1, 2]
    whole = corpus_of([line])
    (tmp_path / "ids").write_bytes(whole.ids.tobytes())
    lazy = Corpus(id_cache.Ids(str(tmp_path / "ids")), *list(vars(whole).values())[1:])
    right = counted([line[:5], line[5:]], np.ones(V), 3, True)
    for corpus in (whole, lazy):
        found = ppmi.counts(corpus, np.ones(V), 3, True).toarray()
        np.testing.assert_allclose(found, right, rtol=1e-6)


def test_counts_are_the_mean_of_what_training_draws(make_hyper):
    """2,000 epochs, each of 36 means within 5 standard errors: fails for 1 seed in 50,000."""
    lines = np.random.default_rng(1).integers(0, V, (8, 10)).tolist()
    corpus, keep = corpus_of(lines), np.linspace(0.3, 1, V)
    tokens, line = map(jnp.asarray, corpus.arrays(0, 80, 80))
    hyper = make_hyper(np.ones(V), keep_prob=keep, window=3)
    static = Config(engine="pairs", window=3, expected_window=False).static()

    @jax.jit
    def pairs(epoch):
        sampled = subsampling.sample_chunk(
            jax.random.key(0), epoch, jnp.int32(0), tokens, line, hyper, static
        )
        contexts, exists = sampling.windows(sampled, jnp.arange(80), static)
        weights = jnp.where(exists & (sampled.line >= 0)[:, None], 1, 0)
        return jnp.zeros((V, V), int).at[sampled.tokens[:, None], contexts].add(weights)

    drawn = np.array(jax.lax.map(pairs, jnp.arange(2000)), float)
    error = drawn.std(axis=0) / np.sqrt(len(drawn))
    found = ppmi.counts(corpus, keep, 3, True).toarray()
    assert (np.abs(drawn.mean(axis=0) - found) < 5 * error + 1e-3).all()


# PPMI and SVD


@cases(40)
@given(st.integers(0, 2**32 - 1), st.floats(0, 2), st.floats(0, 2))
def test_ppmi_is_the_formula(seed, power, shift):
    rng = np.random.default_rng(seed)
    pairs = np.triu(rng.exponential(size=(V, V)) * (rng.random((V, V)) < 0.6))
    pairs = (pairs + pairs.T).astype(np.float32)
    found = ppmi.ppmi(sparse.csr_matrix(pairs), power, shift).toarray()
    of_words = pairs.sum(axis=1, dtype=float)
    smoothed = sum(n**power for n in of_words if n)
    for c, o in itertools.product(range(V), repeat=2):
        right = 0.0
        if pairs[c, o]:
            noise = of_words[o] ** power / smoothed
            right = max(np.log(pairs[c, o] / (of_words[c] * noise)) - shift, 0.0)
        assert found[c, o] == pytest.approx(right, abs=1e-5)


def random_matrix(size, share, seed=0):
    rng = np.random.default_rng(seed)
    found = rng.exponential(size=(size, size)) * (rng.random((size, size)) < share)
    return sparse.csr_matrix(found.astype(np.float32))


@pytest.mark.parametrize("dense", [1000, 0])
def test_the_svd_comes_as_near_as_its_rank_can(monkeypatch, dense):
    monkeypatch.setattr(ppmi, "DENSE", dense)
    matrix, dim = random_matrix(150, 0.1), 10
    left, values, right = ppmi.truncated_svd(matrix, dim)
    for table in (left, right):
        assert (table.shape, table.dtype) == ((150, dim), np.float32)
        np.testing.assert_allclose(table.T @ table, np.eye(dim), atol=1e-5)
    error = np.linalg.norm(matrix.toarray() - (left * values) @ right.T)
    every = np.linalg.svd(matrix.toarray().astype(float), compute_uv=False)
    assert error == pytest.approx(np.linalg.norm(every[dim:]), rel=1e-4)
    np.testing.assert_allclose(values, every[:dim], rtol=1e-3)
    again = ppmi.truncated_svd(matrix, dim)
    for one, other in zip((left, values, right), again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (left[np.abs(left).argmax(axis=0), np.arange(dim)] > 0).all()


def test_a_matrix_of_less_rank_than_dimensions_has_an_end(monkeypatch):
    monkeypatch.setattr(ppmi, "DENSE", 0)
    rng = np.random.default_rng(2)
    made = (rng.random((150, 3)) @ rng.random((3, 150))).astype(np.float32)
    left, values, right = ppmi.truncated_svd(sparse.csr_matrix(made), 10)
    np.testing.assert_allclose((left * values) @ right.T, made, atol=1e-3)
    assert values[2] > 1 > 0.01 > values[3]
    zero = ppmi.truncated_svd(sparse.csr_matrix((150, 150), dtype=np.float32), 10)
    assert not any(part.any() for part in zero)


def test_as_many_dimensions_as_words_are_the_matrix_itself():
    matrix = random_matrix(20, 0.5)
    left, values, right = ppmi.truncated_svd(matrix, 20)
    np.testing.assert_allclose((left * values) @ right.T, matrix.toarray(), atol=1e-4)


# Trainings


SENTENCES = [
    [f"w{i}" for i in row] for row in np.random.default_rng(5).integers(0, 12, (60, 8)).tolist()
]
FIELDS = dict(
    init="ppmi_svd",
    dim=4,
    window=2,
    min_count=1,
    epochs=2,
    batch_size=64,
    group_size=32,
    negatives_per_group=8,
    subsample=0.05,
    learning_rate=0.05,
    optimizer="sgd",
)


@pytest.fixture(scope="module")
def corpus():
    return Corpus.from_sentences(SENTENCES, min_count=1)


def tables_of(corpus, **changes):
    return ppmi.tables(resolve(Config(**{**FIELDS, **changes}), corpus), corpus)


@pytest.mark.parametrize("model", ["skipgram", "cbow"])
def test_a_training_begins_with_the_tables_of_its_text(corpus, model):
    fields = {**FIELDS, "model": model, "learning_rate": 0.0}
    begun = tables_of(corpus, model=model)
    assert all(np.abs(table).max() > 0.1 for table in begun)
    for seed in (1, 2):
        run = w2v.train(corpus, seed=seed, progress=False, **fields)
        for one, other in zip(begun, run.params, strict=True):
            np.testing.assert_array_equal(one, other)


def test_the_tables_are_by_the_fields_that_they_say(corpus):
    first = tables_of(corpus).input
    changes = {"window": 3, "noise_power": 0.5, "subsample": 0.01, "subsample_rule": "paper"}
    assert set(changes) == set(ppmi.USES)
    for name, value in {**changes, "dynamic_window": False}.items():
        assert not np.array_equal(first, tables_of(corpus, **{name: value}).input), name
    for name, value in {"epochs": 5, "learning_rate": 1.0, "negatives": 2}.items():
        np.testing.assert_array_equal(first, tables_of(corpus, **{name: value}).input, name)


def test_nodes_of_a_tree_begin_at_0(corpus):
    found = tables_of(corpus, loss="hierarchical_softmax", engine="pairs")
    np.testing.assert_array_equal(found.input, tables_of(corpus).input)
    assert not found.output.any()


def test_a_start_of_the_text_needs_fewer_dimensions_than_types(corpus):
    for dim in (12, 20):
        for call in (w2v.train, w2v.make_train, w2v.sweep):
            with told(f"--dim={dim}: --init=ppmi_svd needs a text of more types; it has 12 types"):
                call(corpus, **{**FIELDS, "dim": dim})


def test_tables_of_no_text_are_refused(corpus):
    config = resolve(Config(**FIELDS), corpus)
    hyper = beginning.make_hyper(config, corpus.vocab)
    with told("--init=ppmi_svd: such tables are made of a text"):
        beginning.initial_state(config, 12, jax.random.key(1), hyper)


@pytest.mark.bits
def test_one_function_and_a_sweep_begin_as_a_run_alone(corpus):
    axes = {"noise_power": [0.75, 0.25], "learning_rate": [0.05, 0.02]}
    swept = w2v.sweep(corpus, seeds=[3], **{**FIELDS, **axes})
    for trial in swept.trials:
        run = w2v.train(corpus, seed=3, progress=False, **{**FIELDS, **trial.values})
        np.testing.assert_array_equal(trial.vectors.vectors, run.vectors.vectors)
        made = {**FIELDS, **trial.values}
        alone, _ = jax.jit(w2v.make_train(corpus, **made))(
            jax.random.key(3), w2v.make_hyper(corpus, **made)
        )
        np.testing.assert_array_equal(alone.input, run.params.input)


@pytest.mark.bits
def test_a_run_begins_so_and_a_resumed_one_makes_no_tables(monkeypatch, text_folder, tmp_path):
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert start("ptb_skipgram", *arguments(text_folder, whole, START)) == 0
    args = arguments(text_folder, out, START, "--checkpoint_every_steps=2")
    assert signalled(monkeypatch, 3, signal.SIGTERM, *args) == 143
    with monkeypatch.context() as patch:
        patch.delattr(ppmi, "tables")
        assert start("ptb_skipgram", *args) == 0
    assert (out / "vectors.txt").read_bytes() == (whole / "vectors.txt").read_bytes()
    assert metrics_of(out) == metrics_of(whole)


@pytest.mark.bits
def test_without_a_checkpoint_a_run_begins_anew_with_them(monkeypatch, text_folder, tmp_path):
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert start("ptb_skipgram", *arguments(text_folder, whole, START)) == 0
    args = arguments(text_folder, out, START)
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", lambda *_: None)
        assert signalled(patch, 3, signal.SIGTERM, *args) == 143
    assert start("ptb_skipgram", *args) == 0
    assert (out / "vectors.txt").read_bytes() == (whole / "vectors.txt").read_bytes()


def test_a_command_writes_the_tables_of_the_start(text_folder, tmp_path):
    still = ["--optimizer=sgd", "--learning_rate=0", "--export_formats=npz", START]
    text = text_folder / "corpus.txt"
    corpus = Corpus.from_files(text, 1, cache_dir="none")
    args = [*QUICK, *still, f"--corpus={text}", "--reading=sentences", "--unk=drop"]
    for script, model in (("ptb_skipgram", "skipgram"), ("ptb_cbow", "cbow")):
        out = tmp_path / script
        assert start(script, *args, f"--workdir={out}") == 0
        fields = dict(dim=4, window=2, subsample=0.0, model=model)
        config = resolve(Config(init="ppmi_svd", **fields), corpus)
        found = io.load(out / "vectors.npz")
        order = [found.words.index(word) for word in corpus.vocab.words]
        right = ppmi.tables(config, corpus).input
        np.testing.assert_array_equal(found.vectors[order], right)


@pytest.mark.bits
@pytest.mark.slow
@pytest.mark.parametrize("texts", ["--seeds=2", "--bootstrap=2"])
def test_a_sweeps_trial_begins_as_the_run_alone(text_folder, tmp_path, texts):
    out, quiet = tmp_path / "sweep", ["--noevaluate", "--noplots"]
    axes = ["--sweep=init=gensim,ppmi_svd", "--sweep=noise_power=0.75,0", "--cpu_devices=1"]
    args = [*QUICK, f"--corpus={text_folder / 'corpus.txt'}", *axes, texts, "--save_vectors"]
    assert start("ptb_ablation", *args, f"--workdir={out}") == 0
    lines = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    begun = [line for line in lines if line["setting"]["init"] == "ppmi_svd"]
    assert len(begun) == 4
    for line in begun:
        alone = tmp_path / f"alone{line['member']}"
        given = [f"--flagfile={out / 'flags.cfg'}", *line["flags"].split(), *quiet]
        assert start("ptb_skipgram", *given, f"--workdir={alone}") == 0
        trial = out / "vectors" / f"{line['member']}.txt"
        assert (alone / "vectors.txt").read_bytes() == trial.read_bytes()


def test_it_does_not_go_with_another_runs_tables(text_folder, tmp_path, capsys):
    args = arguments(text_folder, tmp_path / "out", START, "--continue_from=absent")
    assert start("ptb_skipgram", *args) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert "--init=ppmi_svd: does not go with --continue_from" in said


def test_the_smoothing_is_no_idle_flag_with_it(text_folder, tmp_path, capsys):
    softmax = ["--loss=softmax", "--noise_power=0.5", "--epochs=1"]
    for init, idle in (("gensim", True), ("ppmi_svd", False)):
        out = tmp_path / init
        assert start("ptb_skipgram", *arguments(text_folder, out, *softmax, f"--init={init}")) == 0
        assert ("--noise_power has no effect" in capsys.readouterr().err) == idle
        assert ("--noise_power=" in (out / "flags.cfg").read_text()) != idle


@pytest.mark.parametrize("fields", [{"replicas": 2}, {"mesh": "columns:4"}])
def test_replicas_and_split_tables_begin_with_them(corpus, fields):
    still = {**FIELDS, "learning_rate": 0.0, **fields}
    run = w2v.train(corpus, progress=False, **still)
    np.testing.assert_array_equal(run.params.input, tables_of(corpus).input)


def test_an_error_names_what_is_wrong(corpus):
    with pytest.raises(UserError, match="not one of"):
        w2v.train(corpus, init="svd")
