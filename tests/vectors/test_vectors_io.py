"""Round trips bit for bit, gensim as the other reader, and files that are not what they say."""

import warnings

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from w2v_jax.data import writing
from w2v_jax.types import UserError
from w2v_jax.vectors.binary_format import save as save_binary
from w2v_jax.vectors.io import load
from w2v_jax.vectors.npz import save as save_npz
from w2v_jax.vectors.projector import save as save_projector
from w2v_jax.vectors.text_format import save as save_text
from w2v_jax.vectors.word_vectors import WordVectors


def save_npz_of(path, wv):
    save_npz(path, wv.words, vectors=wv.vectors)


pytestmark = pytest.mark.filterwarnings("ignore:.*left out|.*announced|.*no line end")
SAVERS = {".txt": save_text, ".vec": save_text, ".bin": save_binary, ".npz": save_npz_of}
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)  # subnormals, -0 and all
WORDS = st.text(min_size=1, max_size=6).filter(
    lambda word: word.split() == [word] and word[-1] != "\0" and encodes(word)
)


def encodes(word):
    return not any("\ud800" <= letter <= "\udfff" for letter in word)


@st.composite
def word_vectors(draw):
    words = draw(st.lists(WORDS, min_size=1, max_size=5, unique=True))
    dim = draw(st.integers(1, 4))
    vectors = draw(arrays(np.float32, (len(words), dim), elements=FLOATS))
    return WordVectors(tuple(words), vectors)


def small():
    vectors = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)
    return WordVectors(("the", "naïve", "木"), vectors)


@pytest.mark.parametrize("suffix", SAVERS)
@settings(max_examples=60, deadline=None)
@given(wv=word_vectors())
@example(wv=WordVectors(("a", "\x00b"), np.array([[1e-45], [3.4028235e38]], "f")))
def test_round_trip_bit_for_bit(tmp_path_factory, suffix, wv):
    path = tmp_path_factory.getbasetemp() / f"round{suffix}"
    SAVERS[suffix](path, wv)
    back = load(path)
    assert back.words == wv.words
    assert back.vectors.dtype == np.float32 and back.vectors.shape == wv.vectors.shape
    assert back.vectors.tobytes() == wv.vectors.tobytes()


@pytest.mark.parametrize(("suffix", "binary"), [(".txt", False), (".bin", True)])
def test_gensim_reads_ours_and_we_read_gensims(tmp_path, suffix, binary):
    models = pytest.importorskip("gensim.models")
    wv = small()
    SAVERS[suffix](tmp_path / f"ours{suffix}", wv)
    theirs = models.KeyedVectors.load_word2vec_format(tmp_path / f"ours{suffix}", binary=binary)
    assert tuple(theirs.index_to_key) == wv.words
    np.testing.assert_array_equal(theirs.vectors, wv.vectors)
    theirs.save_word2vec_format(str(tmp_path / f"theirs{suffix}"), binary=binary)
    back = load(tmp_path / f"theirs{suffix}")
    assert back.words == wv.words
    np.testing.assert_array_equal(back.vectors, wv.vectors)


def test_word2vec_c_ends_rows_with_a_blank(tmp_path):
    (tmp_path / "c.txt").write_bytes(b"2 2\n</s> 0.5 -1e-3 \nthe 1 2 \n")
    back = load(tmp_path / "c.txt")
    assert back.words == ("</s>", "the")
    np.testing.assert_array_equal(back.vectors, np.array([[0.5, -1e-3], [1, 2]], np.float32))


def test_npz_keeps_the_other_arrays(tmp_path):
    wv = small()
    save_npz(tmp_path / "x.npz", wv.words, vectors=wv.vectors, output=-wv.vectors)
    with np.load(tmp_path / "x.npz", allow_pickle=False) as arrays_:
        assert arrays_["words"].tolist() == list(wv.words)
        np.testing.assert_array_equal(arrays_["output"], -wv.vectors)
    with pytest.raises(TypeError, match="pickle"):
        save_npz(tmp_path / "y.npz", wv.words, vectors=[object()])


def test_projector(tmp_path):
    wv = small()
    save_projector(tmp_path / "new" / "folder", wv)
    folder = tmp_path / "new" / "folder"
    assert (folder / "metadata.tsv").read_text(encoding="utf-8").split("\n")[:-1] == list(wv.words)
    rows = [row.split("\t") for row in (folder / "vectors.tsv").read_text().split("\n")[:-1]]
    np.testing.assert_array_equal(np.array(rows, np.float32), wv.vectors)


EXPECTED = "line 1: expected rows `word x1 .. xD`, or first a header `V D` of two positive numbers"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", f"{EXPECTED}: nothing is there"),
        (b"\n \n", f"{EXPECTED}: nothing is there"),
        (b"once upon a time\n", EXPECTED),
        (b"3 0\na\n", EXPECTED),
        (b"2 2\n", "holds no rows"),
        (b"3 2\na 1 2\nb 3 4\nc 5", "line 4: cut short within row 3 of 3"),
        (b"3 2\na 1 2\nb 3 4", "line 3: cut short within row 2 of 3"),
        (b"3 2\na 1 2\nb", "line 3: cut short within row 2 of 3"),
        (b"a 1 2\nb 3 4\nc 5", "line 3: cut short within row 3"),
        (b"1 999999999999\na 1 2\n", "line 2: expected 999,999,999,999 values, found 2"),
        (b"1 2\na 1 two\n", "line 2: a value is not a number"),
        (b"1 2\na 1 1e39\n", "line 2: a value is not finite"),
        (b"1 2\n\xc2\xa0 1 2\n", "line 2: the word '\\xa0' is white space"),
    ],
)
def test_bad_text(tmp_path, content, message):
    assert refusal(tmp_path / "bad.txt", content) == message


def refusal(path, content):
    path.write_bytes(content)
    with warnings.catch_warnings(), pytest.raises(UserError) as caught:
        warnings.simplefilter("error")
        load(path)
    file, _, message = str(caught.value).partition(": ")
    assert file == str(path)
    return message


def one(*values):
    return np.array(values, "<f4").tobytes()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"2 1\na " + one(1) + b"\nb " + one(2)[:3], "cut short within row 2 of 2"),
        (b"2 1\na " + one(1) + b"\nb", "cut short within row 2 of 2"),
        (b"999999999999 999999999999\na \0", "cut short within row 1 of 999,999,999,999"),
        (b"1 1\na " + one(1) + b"\nb ", "2 bytes after the 1 promised row"),
        (b"1 1\na " + one(np.inf), "row 1: a value is not finite"),
        (b"1 1\n\xff " + one(1), "row 1: the word is not UTF-8"),
    ],
)
def test_bad_binary(tmp_path, content, message):
    assert refusal(tmp_path / "bad.bin", content) == message


@pytest.mark.parametrize(
    ("arrays_", "message"),
    [
        ({"vectors": np.ones((2, 2))}, "no array named words, or none named vectors"),
        ({"words": ["a", "b"]}, "no array named words, or none named vectors"),
        ({"words": ["a"], "vectors": np.ones((2, 2))}, "words must be text, one a row of vectors"),
        ({"words": [1, 2], "vectors": np.ones((2, 2))}, "words must be text, one a row of vectors"),
        ({"words": ["a"], "vectors": np.ones(1)}, "vectors must be a table of floats [V, D]"),
        ({"words": ["a"], "vectors": [[1]]}, "vectors must be a table of floats [V, D]"),
        ({"words": ["a"], "vectors": np.ones((1, 0))}, "vectors must be a table of floats [V, D]"),
        ({"words": ["a"], "vectors": [[1e39]]}, "row 1: a value is not finite"),
    ],
)
def test_bad_npz(tmp_path, arrays_, message):
    np.savez(tmp_path / "made.npz", **arrays_)
    assert refusal(tmp_path / "bad.npz", (tmp_path / "made.npz").read_bytes()) == message


def test_npz_is_never_unpickled(tmp_path):
    np.savez(tmp_path / "x.npz", words=np.array(["a", None], object), vectors=np.ones((2, 1)))
    with pytest.raises(UserError, match="allow_pickle"):
        load(tmp_path / "x.npz")


def test_no_file_and_no_such_format(tmp_path):
    for suffix in SAVERS:
        with pytest.raises(UserError, match=rf"none\{suffix}: No such file"):
            load(tmp_path / f"none{suffix}")
    (tmp_path / "x.pkl").write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(UserError, match=r"x\.pkl: is a Python pickle"):
        load(tmp_path / "x.pkl")


@pytest.mark.parametrize("suffix", [".txt", ".bin", ".npz"])
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_bytes_load_or_are_refused(tmp_path_factory, suffix, data):
    path = tmp_path_factory.getbasetemp() / f"any{suffix}"
    SAVERS[suffix](path, WordVectors(("a", "b", "c"), np.ones((3, 2), np.float32)))
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content = data.draw(st.binary(max_size=80))
    else:
        offset = data.draw(st.integers(0, len(content)))
        cut = data.draw(st.integers(0, 12))
        content[offset : offset + cut] = data.draw(st.binary(max_size=12))
    path.write_bytes(content)
    try:
        back = load(path)
    except UserError as error:
        assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
    else:
        assert len(set(back.words)) == len(back.words) == len(back.vectors) > 0
        assert np.isfinite(back.vectors).all()


@pytest.mark.parametrize("suffix", [".txt", ".bin", ".npz"])
@pytest.mark.parametrize("word", ["", "a\n", "\u00a0", "twice", "\ud800"])
def test_words_that_would_not_come_back_are_refused(tmp_path, suffix, word):
    wv = WordVectors(("twice", word), np.ones((2, 2), np.float32))
    with pytest.raises(UserError, match="row 2: the word"):
        SAVERS[suffix](tmp_path / f"x{suffix}", wv)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".txt", ".bin", ".npz"])
def test_a_save_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, suffix, monkeypatch):
    path = tmp_path / f"x{suffix}"
    SAVERS[suffix](path, small())
    old = path.read_bytes()
    monkeypatch.setattr(writing.os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(UserError, match=rf"x\{suffix}: cannot be written \(full\)"):
        SAVERS[suffix](path, WordVectors(("other",), np.ones((1, 2), np.float32)))
    assert path.read_bytes() == old and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", [".txt", ".bin", ".npz"])
def test_whoever_reads_the_old_file_meanwhile_reads_all_of_it(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    SAVERS[suffix](path, small())
    old = path.read_bytes()
    with open(path, "rb", buffering=0) as reader:
        SAVERS[suffix](path, WordVectors(("other",), np.ones((1, 2), np.float32)))
        assert reader.read() == old != path.read_bytes()


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none/x\.txt: cannot be written \(No such file"):
        save_text(tmp_path / "none" / "x.txt", small())
