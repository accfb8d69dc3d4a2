"""Words to ids against a naive derivation, and the distributions over the vocabulary."""

import hashlib
import os
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from w2v_jax import vocab
from w2v_jax.corpus import Source, locate
from w2v_jax.types import UserError, Vocab

WORDS = ["a", "b", "c", "d", "e", "f", "<unk>", "<eos>"]
TEXTS = st.lists(st.lists(st.sampled_from(WORDS), max_size=6), max_size=8)


def naive(lines, min_count, max_vocab, unk, eos, max_words):
    """The text word by word: (lines that are left, vocabulary as (word, count), words read)."""
    read, left = [], max_words or 10**9
    for line in lines:
        line = ([*line, "<eos>"] if eos else line)[:left]
        left -= len(line)
        read.append(line)
    words = [word for line in read for word in line]
    ranked = [(w, n) for w, n in Counter(words).most_common() if w != "<unk>"]
    kept = [w for w, n in ranked if n >= min_count]
    has_unk = "<unk>" in words or len(kept) < len(ranked)
    if max_vocab and unk == "drop":
        kept = kept[:max_vocab]
    elif max_vocab and len(kept) + has_unk > max_vocab:
        kept = kept[: max_vocab - 1]
    if not kept:
        return None
    if unk == "drop":
        text = [[w for w in line if w in kept] for line in read]
    else:
        text = [[w if w in kept else "<unk>" for w in line] for line in read]
    if eos:
        text = [[word for line in text for word in line]]
    text = [line for line in text if line]
    return text, Counter(w for line in text for w in line).most_common(), len(words)


def decoded(ids, line_ends, words):
    starts = [0, *line_ends[:-1]]
    return [[words[i] for i in ids[a:b]] for a, b in zip(starts, line_ends, strict=True)]


@settings(max_examples=600, deadline=None)
@given(
    TEXTS,
    st.integers(0, 4),
    st.integers(0, 5),
    st.sampled_from(["keep", "drop"]),
    st.booleans(),
    st.integers(0, 20),
)
def test_build_equals_the_naive_derivation(lines, min_count, max_vocab, unk, eos, max_words):
    options = dict(min_count=min_count, max_vocab=max_vocab, unk=unk, eos=eos, max_words=max_words)
    expected = naive(lines, **options)
    before = [list(line) for line in lines]
    if expected is None:
        with pytest.raises(UserError):
            vocab.build(lines, **options)
        return
    text, types, read = expected
    ids, line_ends, built, words = vocab.build(lines, **options)
    assert lines == before
    assert decoded(ids, line_ends, built.words) == text
    assert list(zip(built.words, built.counts, strict=True)) == types
    assert words == read
    assert (ids.dtype, line_ends.dtype, built.counts.dtype) == (np.int32, np.int64, np.int64)
    assert np.bincount(ids, minlength=len(types)).tolist() == built.counts.tolist()
    assert line_ends[-1] == len(ids) == built.counts.sum() and (np.diff(line_ends) > 0).all()


def test_a_large_text_equals_the_naive_derivation():
    rng = np.random.default_rng(0)
    lines = [[f"w{i}" for i in rng.zipf(1.5, size=rng.integers(0, 30))] for _ in range(3000)]
    options = dict(min_count=3, max_vocab=200, unk="keep", eos=False, max_words=40_000)
    ids, line_ends, built, words = vocab.build(lines, **options)
    text, types, read = naive(lines, **options)
    assert decoded(ids, line_ends, built.words) == text
    assert list(zip(built.words, built.counts.tolist(), strict=True)) == types
    assert words == read == 40_000 and len(types) == 200


def test_most_frequent_first_ties_by_first_appearance():
    _, _, built, _ = vocab.build([["z", "y"], ["x", "y", "z", "w"]])
    assert built.words == ("z", "y", "x", "w") and built.counts.tolist() == [2, 2, 1, 1]


def test_unk_joins_rare_words_to_its_own_count():
    lines = [["a", "rare", "<unk>", "a"], ["once", "b", "b"]]
    ids, ends, built, words = vocab.build(lines, min_count=2)
    assert built.words == ("<unk>", "a", "b") and built.counts.tolist() == [3, 2, 2]
    assert words == len(ids) == 7 and ends.tolist() == [4, 7]
    assert "<unk>" not in vocab.build([["a", "b"]], max_vocab=2)[2].words


def test_lines_emptied_by_dropping_are_left_out():
    lines = [["rare"], ["a", "<unk>"], [], ["once"], ["a", "a"], ["<unk>"]]
    ids, ends, built, words = vocab.build(lines, min_count=2, unk="drop")
    assert built.words == ("a",) and ids.tolist() == [0, 0, 0] and ends.tolist() == [1, 3]
    assert words == 7


def test_max_words_stops_reading():
    def lines():
        yield ["a", "b"]
        yield ["c", "d", "e"]
        raise AssertionError("read on")

    _, ends, built, words = vocab.build(lines(), max_words=4)
    assert ends.tolist() == [2, 4] and words == 4 and built.words == tuple("abcd")
    assert vocab.build(lines(), max_words=5)[3] == 5
    assert vocab.build(lines(), max_words=3, eos=True)[2].words == ("a", "b", "<eos>")


@pytest.mark.parametrize(
    ("lines", "options", "message"),
    [
        ([], {}, "t: holds no words"),
        ([[], []], {}, "t: holds no words"),
        ([["<unk>"]], {"unk": "drop"}, "t: holds no word but <unk>"),
        (
            [["a", "a", "b", "<unk>", "<unk>", "<unk>"]],
            {"min_count": 3},
            "--min_count=3: no word of t is left, the most frequent occurs 2 times",
        ),
        (
            [["a", "b"]],
            {"min_count": 5, "unk": "drop"},
            "--min_count=5: no word of t is left, the most frequent occurs 1 time",
        ),
        ([["a", "b"]], {"max_vocab": 1}, "--max_vocab=1: leaves no place but that of <unk>"),
        ([["a"]], {"unk": "skip"}, "--unk=skip: not one of keep, drop"),
    ],
)
def test_error_lines(lines, options, message):
    with pytest.raises(UserError) as caught:
        vocab.build(lines, text="t", **options)
    assert str(caught.value) == message


def test_load_reads_files_and_digests_them(tmp_path):
    paths = [tmp_path / "a", tmp_path / "b"]
    paths[0].write_text("a b\n\nb\n")
    paths[1].write_text("b c\n")
    loaded = vocab.load(Source("files", tuple(map(str, paths)), ""), eos=True)
    text = " ".join(loaded.vocab.words[i] for i in loaded.ids)
    assert text == "a b <eos> <eos> b <eos> b c <eos>"
    assert loaded.line_ends.tolist() == [9] and loaded.words == 9
    assert loaded.sha256 == hashlib.sha256(b"a b\n\nb\nb c\n").hexdigest()
    with pytest.raises(UserError, match=r"no word of .*/a and 1 more is left"):
        vocab.load(Source("files", tuple(map(str, paths)), ""), min_count=9)


@pytest.mark.skipif(not os.environ.get("W2V_JAX_DATA"), reason="W2V_JAX_DATA names no folder")
def test_penn_treebank_as_the_book_and_d2l_read_it():
    source = locate("ptb", data_dir=os.environ["W2V_JAX_DATA"])
    book = vocab.load(source, eos=True)
    assert len(book.ids) == book.words == 929_589 and len(book.vocab.words) == 10_000
    assert book.line_ends.tolist() == [929_589]
    assert book.sha256.startswith("fcea919f6cf83f35")
    d2l = vocab.load(source, min_count=10, unk="drop")
    assert len(d2l.ids) == 820_056 and len(d2l.vocab.words) == 6_718 and d2l.words == 887_521
    with open(source.paths[0]) as file:
        counts = Counter(file.read().split())
    assert dict(zip(d2l.vocab.words, d2l.vocab.counts, strict=True)) == {
        word: n for word, n in counts.items() if n >= 10 and word != "<unk>"
    }


def test_keep_probability_by_its_formulas():
    counts, t = np.array([900, 90, 9, 1]), 1e-2
    for rule, extra in (("paper", 0), ("word2vec_c", 1)):
        expected = [min(1, (t / (n / 1000)) ** 0.5 + extra * t / (n / 1000)) for n in counts]
        keep = vocab.keep_probability(counts, t, rule)
        np.testing.assert_allclose(keep, expected, rtol=1e-14)
        assert keep.dtype == np.float64
        assert vocab.keep_probability(counts, 0, rule).tolist() == [1, 1, 1, 1]
    # word2vec.c: (sqrt(cn / (sample * train_words)) + 1) * (sample * train_words) / cn
    c = (np.sqrt(counts / (t * 1000)) + 1) * (t * 1000) / counts
    np.testing.assert_allclose(vocab.keep_probability(counts, t, "word2vec_c"), np.minimum(c, 1))
    assert vocab.keep_probability([5, 0], 1e-3, "paper")[1] == 1


@pytest.mark.parametrize("t", [-1e-4, np.inf, np.nan])
def test_subsampling_that_is_no_threshold(t):
    with pytest.raises(UserError, match="--subsample="):
        vocab.keep_probability(np.array([1]), t, "paper")
    with pytest.raises(UserError, match="--subsample_rule=c: not one of paper, word2vec_c"):
        vocab.keep_probability(np.array([1]), 0, "c")


def test_noise_distribution_of_the_book():
    p = vocab.noise_distribution(np.array([0.7, 0.29, 0.01]), 0.75)
    np.testing.assert_allclose(p, [0.64196878, 0.33150408, 0.02652714], atol=5e-9)


@settings(deadline=None)
@example([3, 0, 1], 0.0)
@given(st.lists(st.integers(0, 10**9), min_size=1).filter(any), st.floats(0, 2))
def test_noise_distribution_by_its_formula(counts, power):
    p = vocab.noise_distribution(np.array(counts), power)
    raised = [n**power if n else 0 for n in counts]
    np.testing.assert_allclose(p, [x / sum(raised) for x in raised], rtol=1e-10)
    assert p.dtype == np.float64 and abs(p.sum() - 1) < 1e-12
    assert all((x == 0) == (n == 0) for x, n in zip(p, counts, strict=True))


def test_noise_distribution_does_not_overflow():
    assert vocab.noise_distribution(np.array([10**9, 1]), 100).tolist() == [1, 0]


@given(TEXTS.filter(lambda lines: any(w != "<unk>" for line in lines for w in line)))
@settings(deadline=None, max_examples=30)
def test_counts_come_back(tmp_path_factory, lines):
    path = str(tmp_path_factory.mktemp("counts") / "counts.txt")
    built = vocab.build(lines)[2]
    vocab.save_counts(path, built)
    again = vocab.load_counts(path)
    assert again.words == built.words and again.counts.tolist() == built.counts.tolist()
    assert again.counts.dtype == np.int64


def test_counts_file_is_a_word_a_tab_and_a_count(tmp_path):
    path = tmp_path / "counts.txt"
    vocab.save_counts(str(path), Vocab(("été", "b"), np.array([3, 1])))
    assert path.read_bytes() == "été\t3\nb\t1\n".encode()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\t2\nb\n", "line 2: not a word, a tab and its count"),
        ("a\t2\n\n", "line 2: not a word, a tab and its count"),
        ("a\t0\n", "line 1: not a word, a tab and its count"),
        ("a\t1_0\n", "line 1: not a word, a tab and its count"),
        ("a\t2\na\t1\n", "line 2: 'a' occurs twice"),
        ("a\t2\nb\t2\nc\t3\n", "line 3: more frequent than the word before it"),
    ],
)
def test_counts_file_error_lines(tmp_path, text, message):
    path = tmp_path / "counts.txt"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        vocab.load_counts(str(path))
    assert str(caught.value) == f"{path}: {message}"
