"""fastText's subwords against gensim's: hashes, files, and vectors of unknown words."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from fuzzing import EDITS, cases, tampered
from hypothesis import given
from hypothesis import strategies as st
from scripts import start

import w2v_jax as w2v
from w2v_jax.types import UserError
from w2v_jax.vectors import evaluation, subwords
from w2v_jax.vectors.word_vectors import WordVectors

SENTENCES = [
    ["the", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog"],
    ["größe", "Übermut", "한국어", "단어", "слово", "слова"],
    ["foxes", "and", "dogs", "are", "quicker", "than", "a", "lazier", "brown", "bear"],
] * 30


def gensims():
    return pytest.importorskip("gensim.models.fasttext")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model of gensim's, and the file that it is, as fastText has it."""
    fasttext = gensims()
    made = fasttext.FastText(
        SENTENCES,
        vector_size=8,
        min_count=1,
        min_n=2,
        max_n=4,
        bucket=500,
        epochs=3,
        seed=1,
        workers=1,
    )
    path = tmp_path_factory.mktemp("fasttext") / "model.bin"
    fasttext.save_facebook_model(made, str(path))
    return made.wv, path


@cases(300)
@given(st.text(min_size=1, max_size=12), st.integers(1, 5), st.integers(0, 4), st.integers(1, 2000))
def test_hashes_are_fasttexts(word, shortest, more, buckets):
    inner = pytest.importorskip("gensim.models.fasttext_inner")
    if "\0" in word or any("\ud800" <= letter <= "\udfff" for letter in word):
        return
    theirs = inner.compute_ngrams_bytes(word, shortest, shortest + more)
    expected = sorted(inner.ft_hash_bytes(one) % buckets for one in theirs)
    words = ["other", word, "", word]
    found = subwords.ngrams(words, shortest, shortest + more, buckets)
    for index in (1, 3):
        assert sorted(found.bucket[found.word == index].tolist()) == expected


def test_hashes_are_the_published_ones():
    """FNV-1a of 32 bits: 'foobar' is bf9cf968; a byte above 127 counts as a negative number."""
    found = subwords.ngrams(["foobar"], 6, 6, 2**32).bucket
    assert 0xBF9CF968 in found  # of `foobar`, among `<fooba` and `oobar>`
    h = 2166136261
    for byte in "é".encode():
        h = ((h ^ (byte | 0xFFFFFF00)) * 16777619) % 2**32
    assert subwords.ngrams(["é"], 1, 1, 2**32).bucket.tolist() == [h]


def test_a_lines_end_and_marks_alone_have_no_ngrams():
    assert len(subwords.ngrams(["</s>"], 1, 6, 10).word) == 0
    assert len(subwords.ngrams(["ab"], 1, 1, 10).word) == 2
    assert len(subwords.ngrams([], 3, 6, 10).word) == len(subwords.ngrams([""], 3, 6, 9).word) == 0


def test_a_models_vectors_are_gensims(model):
    theirs, path = model
    wv = w2v.load(path)
    assert wv.words == tuple(theirs.index_to_key)
    for word in wv.words:
        np.testing.assert_allclose(wv[word], theirs[word], rtol=1e-5, atol=1e-7)
    for word in ("foxy", "größen", "словами", "x"):
        assert word not in wv and wv.has_vector(word)
        np.testing.assert_allclose(wv[word], theirs[word], rtol=1e-5, atol=1e-7)
        ours = wv.most_similar(word, topn=4)
        assert [near for near, _ in ours] == [near for near, _ in theirs.most_similar(word, topn=4)]
    asked = dict(positive=["foxy", "dog"], negative=["the"])
    ours = wv.most_similar(asked["positive"], topn=3, negative=asked["negative"])
    expected = theirs.most_similar(**asked, topn=3)
    assert [near for near, _ in ours] == [near for near, _ in expected]
    np.testing.assert_allclose([s for _, s in ours], [s for _, s in expected], atol=1e-6)
    assert wv.similarity("foxy", "fox") == pytest.approx(theirs.similarity("foxy", "fox"), abs=1e-6)
    with pytest.raises(UserError):  # an unknown word has no id
        wv.rank("foxy", "fox")


def test_the_first_words_have_subwords_too(model, tmp_path):
    _, path = model
    whole, first = w2v.load(path), w2v.load(path, limit=5)
    assert first.words == whole.words[:5] and not (first.vectors != whole.vectors[:5]).any()
    last = whole.words[-1]
    assert last not in first and np.any(first[last] != whole[last])  # without its own row
    packed = tmp_path / "packed.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert not (w2v.load(packed).vectors != whole.vectors).any()
    assert not (whole.first(3)["foxy"] != whole["foxy"]).any()


@pytest.mark.parametrize("name", ["crime-and-punishment", "lee_fasttext_new", "toy-model"])
def test_fasttexts_own_files_are_read(name):
    utils = pytest.importorskip("gensim.test.utils")
    path = Path(utils.datapath(f"{name}.bin"))
    if not path.exists():
        pytest.skip("gensim is installed without its test data")
    theirs, wv = gensims().load_facebook_vectors(str(path)), w2v.load(path)
    for word in wv.words:
        if word != "</s>":  # gensim gives a line's end n-grams, fastText doesn't
            np.testing.assert_allclose(wv[word], theirs[word], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(wv["zebrafish"], theirs["zebrafish"], rtol=1e-5, atol=1e-6)


def test_a_model_without_ngrams_has_words_alone(tmp_path):
    fasttext = gensims()
    made = fasttext.FastText(SENTENCES, vector_size=4, min_count=1, max_n=0, bucket=0, epochs=1)
    path = tmp_path / "words.bin"
    fasttext.save_facebook_model(made, str(path))
    wv = w2v.load(path)
    assert wv.subwords is None and not wv.has_vector("foxy")
    np.testing.assert_allclose(wv["fox"], made.wv["fox"], rtol=1e-6)
    with pytest.raises(UserError, match="'foxy' is not in the vocabulary"):
        wv.most_similar("foxy")


def test_what_is_no_whole_model_is_refused(model, tmp_path):
    _, path = model
    raw, wrong = path.read_bytes(), tmp_path / "wrong.bin"
    count = struct.unpack("<i", raw[64:68])[0]
    quantised = raw.index(b"\0" * 2 + struct.pack("<2q", count + 500, 8)) + 1
    for data, said in (
        (raw[:30], "cut short"),
        (raw[:200], "cut short: "),
        (raw[:-3000], "of a table are missing"),
        (raw[:4] + struct.pack("<i", 3) + raw[8:], "of version 3"),
        (raw[:36] + struct.pack("<i", 3) + raw[40:], "is a classifier"),
        (raw[:quantised] + b"\1" + raw[quantised + 1 :], "is quantised"),
        (raw[:8] + struct.pack("<i", 9) + raw[12:], "its table is"),
        (raw[:8] + struct.pack("<i", -1) + raw[12:], "no whole model"),
    ):
        wrong.write_bytes(data)
        with pytest.raises(UserError) as caught:
            w2v.load(wrong)
        assert str(caught.value).startswith(f"{wrong}: ") and said in str(caught.value)


@cases(150)
@given(EDITS)
def test_a_damaged_model_is_read_or_refused(model, tmp_path_factory, edits):
    _, path = model
    wrong = tmp_path_factory.getbasetemp() / "damaged.bin"
    wrong.write_bytes(tampered(path.read_bytes()[:4000], edits))
    try:
        subwords_or_rows = w2v.load(wrong)
        assert len(subwords_or_rows)
    except UserError as error:
        assert str(error).startswith(str(wrong))


def test_pairs_of_unknown_words_are_measured(model, tmp_path):
    theirs, path = model
    wv = w2v.load(path)
    words = ["fox", "foxy", "dogs", "doggy", "größen", "slow", "Quick", "</s>"]
    pairs = [(a, b) for i, a in enumerate(words) for b in words[:i]]
    text = "".join(f"{a}\t{b}\t{number}\n" for number, (a, b) in enumerate(pairs))
    (tmp_path / "mine.tsv").write_text(text)
    _, cosines = evaluation.pair_items(wv, tmp_path / "mine.tsv")
    for (a, b), cosine in zip(pairs, cosines, strict=True):
        if "</s>" in (a, b):
            assert np.isnan(cosine)  # which has no n-grams
        else:
            spelt = ["quick" if word == "Quick" else word for word in (a, b)]  # by its other case
            assert cosine == pytest.approx(theirs.similarity(*spelt), abs=1e-5)
    spearman, _ = evaluation.word_pairs(wv, tmp_path / "mine.tsv")
    assert (spearman.covered, spearman.total) == (21, 28)
    no_subwords = WordVectors(wv.words, wv.vectors)
    assert next(evaluation.word_pairs(no_subwords, tmp_path / "mine.tsv")).covered < 21


def test_the_commands_know_unknown_words(capsys, model):
    _, path = model
    assert start("query", f"--vectors={path}", "--similar=fox,foxy") == 0
    told = capsys.readouterr().out
    assert "  foxy (unknown, by its n-grams) -> " in told and "  fox -> " in told


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ngram_buckets", np.array([3, 1], np.uint64)),
        ("ngram_buckets", np.array([1, 9], np.int64)),
        ("ngram_buckets", np.array([1], np.int64)),
        ("ngram_settings", np.array([3, 6, 0])),
        ("ngram_settings", np.array([4, 3, 9])),
        ("ngram_settings", np.array([3, 6])),
        ("ngrams", np.full((2, 4), 1e300)),
        ("ngrams", np.full((2, 4), np.nan)),
        ("ngrams", np.zeros((2, 5))),
        ("ngrams", np.zeros((2, 4), np.int32)),
        ("ngrams", None),
    ],
)
def test_rows_of_ngrams_that_are_none_are_refused(tmp_path, name, value):
    arrays = {
        "words": np.array(["a", "b"]),
        "vectors": np.ones((2, 4), np.float32),
        "ngrams": np.ones((2, 4), np.float32),
        "ngram_buckets": np.array([1, 3]),
        "ngram_settings": np.array([3, 6, 9]),
    }
    path = tmp_path / "x.npz"
    np.savez(path, **arrays)
    assert w2v.load(path).subwords is not None
    arrays[name] = value
    np.savez(path, **{key: array for key, array in arrays.items() if array is not None})
    with pytest.raises(UserError, match="ngram"):
        w2v.load(path)
