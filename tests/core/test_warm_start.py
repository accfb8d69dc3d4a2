"""Vocabularies merged, rows transferred, and training that starts from an earlier one."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from messages import told
from scripts import QUICK, start

from w2v_jax import model, update, warm_start
from w2v_jax.checkpoint import flat
from w2v_jax.data import id_cache
from w2v_jax.data.corpus import Corpus
from w2v_jax.data.vocab import load_counts
from w2v_jax.types import StaticConfig, Vocab
from w2v_jax.vectors import io as vectors_io
from w2v_jax.warm_start import Pretrained

pytestmark = pytest.mark.usefixtures("compiled_once")
WORDS = st.dictionaries(st.sampled_from("abcdefghij"), st.integers(1, 9), min_size=1)


def vocab_of(counts):
    """Most frequent first, ties as they come."""
    words = sorted(counts, key=lambda word: -counts[word])
    return Vocab(tuple(words), np.array([counts[w] for w in words], np.int64))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(WORDS, WORDS)
def test_joined_vocabularies_add_their_counts(old, new):
    a, b = vocab_of(old), vocab_of(new)
    vocab, of_old, of_new = warm_start.merged(a, b)
    total = {word: old.get(word, 0) + new.get(word, 0) for word in {**old, **new}}
    assert dict(zip(vocab.words, vocab.counts.tolist(), strict=True)) == total
    assert (np.diff(vocab.counts) <= 0).all()
    assert [vocab.words[i] for i in of_old] == list(a.words)
    assert [vocab.words[i] for i in of_new] == list(b.words)
    came = [*a.words, *(w for w in b.words if w not in old)]
    assert list(vocab.words) == sorted(came, key=lambda word: (-total[word], came.index(word)))


def test_the_text_is_the_same_words_in_the_joined_vocabulary(tmp_path):
    old, new = vocab_of({"c": 5, "a": 2}), vocab_of({"a": 4, "b": 3})
    ids = np.array([0, 1, 0, 1, 1, 0, 0], np.int32)
    (tmp_path / "ids").write_bytes(ids.tobytes())
    earlier = Pretrained(old, {}, 0, "")
    for held in (ids, id_cache.Ids(str(tmp_path / "ids"))):
        corpus = Corpus(held, np.array([7]), new, 7, "x")
        merge_vocabs, index = warm_start.merge_vocabs(corpus, earlier)
        words = [merge_vocabs.vocab.words[i] for i in merge_vocabs.ids[0:7]]
        assert words == [new.words[i] for i in ids]
        assert [merge_vocabs.vocab.words[i] for i in index] == ["c", "a"]
        assert merge_vocabs.vocab.words == ("a", "c", "b")


@pytest.fixture
def states(make_hyper):
    """(static, earlier state of 3 words as arrays, first state of 5)."""

    def make(optimizer, rows_moved):
        static = StaticConfig(optimizer=optimizer, update=rows_moved)
        found = []
        for seed, size in ((1, 3), (2, 5)):
            params = model.init_params(jax.random.key(seed), size, 2, "xavier")
            found.append(update.init_state(params, make_hyper(np.ones(size)), static))
        grown = jax.tree.map(lambda x: x + jnp.ones_like(x), found[0])
        return flat(grown), found[1]

    return make


@pytest.mark.parametrize("optimizer", ["adam", "adagrad", "row_adagrad", "sgd"])
@pytest.mark.parametrize("rows_moved", ["dense", "sparse"])
def test_rows_are_transferred_to_their_indices_and_new_words_stay(states, optimizer, rows_moved):
    arrays, first = states(optimizer, rows_moved)
    index = np.array([4, 0, 2])
    earlier = Pretrained(Vocab(("a", "b", "c"), np.ones(3)), arrays, 10, "")
    for with_optimizer in (False, True):
        state = warm_start.transfer_rows(first, earlier, index, with_optimizer)
        assert jax.tree.structure(state) == jax.tree.structure(first)
        before, after = flat(first), flat(state)
        for name, leaf in after.items():
            moved = with_optimizer or name.startswith("params.")
            if leaf.ndim and moved:
                np.testing.assert_array_equal(leaf[index], arrays[name])
                np.testing.assert_array_equal(leaf[[1, 3]], before[name][[1, 3]])
            else:
                np.testing.assert_array_equal(leaf, (arrays if moved else before)[name])


def test_what_does_not_go_together_is_refused(states):
    arrays, first = states("adam", "dense")
    other = states("sgd", "dense")[0]
    vocab, index = Vocab(("a", "b", "c"), np.ones(3)), np.array([4, 0, 2])
    with told("--continue_schedule: the earlier run had another"):
        warm_start.transfer_rows(first, Pretrained(vocab, other, 1, ""), index, True)
    narrow = {**arrays, "params.input": arrays["params.input"][:, :1]}
    with told(r"--continue_from: params.input is \[3, 1\]"):
        warm_start.transfer_rows(first, Pretrained(vocab, narrow, 1, ""), index, False)


# As a user does it


@pytest.fixture(scope="module")
def texts(text_folder):
    (text_folder / "more.txt").write_text("w1 w2 new w3\nw2 new w1 w4 newer\n" * 10)
    args = [*QUICK, f"--corpus={text_folder / 'corpus.txt'}", "--schedule=linear", "--min_count=2"]
    first = text_folder / "first"
    args += [f"--workdir={first}", "--checkpoint_every_steps=5"]
    assert start("ptb_skipgram", *args) == 0
    return first, text_folder / "more.txt"


def going_on(texts, out, *more):
    args = [*QUICK, f"--corpus={texts[1]}", f"--workdir={out}", "--schedule=linear", *more]
    return start("ptb_skipgram", *args)


@pytest.mark.slow
def test_a_run_goes_on_from_another_on_new_text(texts, tmp_path):
    out = tmp_path / "out"
    # The rate 0 leaves the rows as they came; rare words that have a row keep their id.
    args = [f"--continue_from={texts[0]}", "--min_count=11", "--learning_rate=0", "--unk=drop"]
    assert going_on(texts, out, *args) == 0
    old, new = (load_counts(str(f / "vocab.tsv")) for f in (texts[0], out))
    old, new = (dict(zip(v.words, v.counts.tolist(), strict=True)) for v in (old, new))
    assert set(new) - set(old) == {"new"}  # "newer" occurs ten times
    assert new["w1"] == old["w1"] + 20 and new["w4"] == old["w4"] + 10 and new["new"] == 20
    before, after = (vectors_io.load(f / "vectors.txt") for f in (texts[0], out))
    index = [after.words.index(word) for word in before.words]
    np.testing.assert_array_equal(after.vectors[index], before.vectors)
    assert np.abs(after.vectors[after.words.index("new")]).max() > 0


def rates(folder):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["learning_rate"] for line in lines]


@pytest.mark.slow
def test_the_schedule_begins_anew_or_goes_on(texts, tmp_path):
    for name, more in (("anew", []), ("on", ["--continue_schedule"])):
        assert going_on(texts, tmp_path / name, f"--continue_from={texts[0]}", *more) == 0
    anew, on = (rates(tmp_path / name) for name in ("anew", "on"))
    # 360 words were trained on, 180 are to come: a third of the way is left.
    ratio = np.array(on) / np.array(anew)
    np.testing.assert_allclose(ratio, 180 / 540, rtol=1e-5)


def test_vectors_alone_are_a_beginning_too(texts, tmp_path, capsys):
    vectors = f"--continue_from={texts[0] / 'vectors.txt'}"
    assert going_on(texts, tmp_path, vectors, "--learning_rate=0") == 0
    before, after = (vectors_io.load(f / "vectors.txt") for f in (texts[0], tmp_path))
    index = [after.words.index(word) for word in before.words]
    np.testing.assert_array_equal(after.vectors[index], before.vectors)
    counts = load_counts(str(tmp_path / "vocab.tsv"))  # of the new text alone
    assert dict(zip(counts.words, counts.counts.tolist(), strict=True))["w0"] == 0
    assert going_on(texts, tmp_path / "on", vectors, "--continue_schedule") == 1
    assert "--continue_schedule needs a run" in capsys.readouterr().err


def test_a_run_that_goes_on_is_resumed_only_with_the_same_beginning(texts, tmp_path, capsys):
    out, copied = tmp_path / "out", tmp_path / "copied.txt"
    lines = (texts[0] / "vectors.txt").read_text().splitlines(keepends=True)
    copied.write_text("".join(lines))
    assert going_on(texts, out, f"--continue_from={copied}") == 0
    assert going_on(texts, out, f"--continue_from={texts[0] / 'vectors.txt'}") == 0
    assert "complete" in capsys.readouterr().err  # the same vectors elsewhere
    copied.write_text("".join([*lines[:1], *lines[2:0:-1], *lines[3:]]))
    assert going_on(texts, out, f"--continue_from={copied}") == 1
    assert "what --continue_from names is another" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--dim=5"], "--dim=5: --continue_from="),
        (["--continue_schedule", "--optimizer=sgd"], "--continue_schedule: the earlier run had"),
        (["--continue_from=absent"], "absent"),
        (["--continue_from=."], "holds no run"),
    ],
)
def test_a_beginning_that_does_not_fit_costs_one_line(texts, tmp_path, capsys, args, said):
    out = tmp_path / "out"
    assert going_on(texts, out, f"--continue_from={texts[0]}", *args) == 1
    assert said in capsys.readouterr().err.splitlines()[-1] and not out.exists()
