"""Which words become the vocabulary, and the distributions over it."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from messages import told

from experiments.cli.errors import as_flags
from w2v_jax.data import vocab
from w2v_jax.types import UserError, Vocab


def choose(words, **options):
    """What becomes of a text: (words left in it, '-' for those left out; the vocabulary)."""
    counts = Counter(words)
    types = [word.encode() for word in counts]
    built, index = vocab.choose(types, np.array([*counts.values()]), text="t", **options)
    index = dict(zip(counts, index.tolist(), strict=True))
    return ["-" if index[w] < 0 else built.words[index[w]] for w in words], built


def test_most_frequent_first_ties_by_first_appearance():
    text, built = choose(["z", "y", "x", "y", "z", "w"])
    assert built.words == ("z", "y", "x", "w") and built.counts.tolist() == [2, 2, 1, 1]
    assert text == ["z", "y", "x", "y", "z", "w"]
    assert built.counts.dtype == np.int64


def test_unk_joins_rare_words_to_its_own_count():
    text, built = choose(["a", "rare", "<unk>", "a", "once", "b", "b"], min_count=2)
    assert built.words == ("<unk>", "a", "b") and built.counts.tolist() == [3, 2, 2]
    assert text == ["a", "<unk>", "<unk>", "a", "<unk>", "b", "b"]
    assert "<unk>" not in choose(["a", "b"], max_vocab=2)[1].words
    assert choose(["a", "a", "b", "b", "c"], max_vocab=2)[1].words == ("<unk>", "a")


def test_dropped_words_have_no_place():
    text, built = choose(["rare", "a", "<unk>", "a"], min_count=2, unk="drop")
    assert built.words == ("a",) and text == ["-", "a", "-", "a"]


def test_types_that_do_not_occur_do_not_exist():
    built, index = vocab.choose([b"a", b"<unk>", b"b"], np.array([1, 2, 0]), unk="drop")
    assert built.words == ("a",) and index.tolist() == [0, -1]


def test_known_words_are_never_rare_and_take_places_first():
    words = ["a", "a", "a", "b", "b", "k", "c", "l", "l", "é"]
    text, built = choose(words, min_count=3, known=("k", "é", "absent", "<unk>", ""))
    assert built.words == ("<unk>", "a", "k", "é") and built.counts.tolist() == [5, 3, 1, 1]
    assert text == ["a"] * 3 + ["<unk>"] * 2 + ["k"] + ["<unk>"] * 3 + ["é"]
    assert choose(words, max_vocab=3, known=("k",))[1].words == ("<unk>", "a", "k")
    assert choose(words, max_vocab=3, known=("l", "k"))[1].words == ("<unk>", "l", "k")
    few = choose(words, max_vocab=2, known=("k", "l", "é"), unk="drop")[1]
    assert few.words == ("l", "k")
    assert choose(words, min_count=9, known=("c",), unk="drop")[1].words == ("c",)
    assert choose(["<unk>", "a"], known=("<unk>",), unk="drop")[1].words == ("a",)


def test_what_was_forgotten_is_rare_whatever_its_count():
    types, counts = [b"a", b"", b"b", b"<unk>"], np.array([3, 9, 2, 1])
    built, index = vocab.choose(types, counts)
    assert built.words == ("<unk>", "a", "b") and built.counts.tolist() == [10, 3, 2]
    assert index.tolist() == [1, 0, 2, 0]
    built, index = vocab.choose(types, counts, unk="drop", known=("",))
    assert built.words == ("a", "b") and index.tolist() == [0, -1, 1, -1]
    with told("--max_types: too small, every word of t was forgotten"):
        vocab.choose([b"<unk>", b""], np.array([1, 9]), text="t")
    with told("occurs 3 times after --max_types last forgot it"):
        vocab.choose(types, counts, min_count=4)


@pytest.mark.parametrize(
    ("words", "options", "message"),
    [
        ([], {}, "t: holds no words"),
        (["<unk>"], {"unk": "drop"}, "t: holds no word but <unk>"),
        (
            ["a", "a", "b", "<unk>", "<unk>", "<unk>"],
            {"min_count": 3},
            "--min_count=3: no word of t is left, the most frequent occurs 2 times",
        ),
        (
            ["a", "b"],
            {"min_count": 5, "unk": "drop"},
            "--min_count=5: no word of t is left, the most frequent occurs 1 time",
        ),
        (["a", "b"], {"max_vocab": 1}, "--max_vocab=1: leaves no place but that of <unk>"),
    ],
)
def test_error_lines(words, options, message):
    with pytest.raises(UserError) as caught:
        choose(words, **options)
    assert as_flags(str(caught.value)) == message


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
    with told("--subsample="):
        vocab.keep_probability(np.array([1]), t, "paper")
    with told("--subsample_rule=c: not one of paper, word2vec_c"):
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


@given(
    st.lists(st.sampled_from(["a", "b", "été", "<unk>"]), min_size=1).filter(
        lambda w: set(w) - {"<unk>"}
    )
)
@settings(deadline=None, max_examples=30)
def test_counts_come_back(tmp_path_factory, words):
    path = str(tmp_path_factory.mktemp("counts") / "counts.txt")
    _, built = choose(words)
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
        ("a\t-1\n", "line 1: not a word, a tab and its count"),
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


def test_cumulative_is_exact_to_two_to_the_minus_32():
    for counts in ([1], [1, 1], [10**9, 1, 1], np.arange(1, 10**5)[::-1]):
        pn = vocab.noise_distribution(np.asarray(counts), 0.75)
        cdf = np.append(vocab.cumulative(pn)[:-1].astype(np.float64), 2.0**32)
        np.testing.assert_allclose(np.diff(cdf, prepend=0) / 2**32, pn, atol=2.0**-32)
