"""Vectors files from anywhere: read whole and finite, or refused in a line; 5,100 cases drawn.

W2V_JAX_FUZZ=N draws N times as many.
"""

import io
import os
import pickle
import signal
import tracemalloc
import zipfile

import numpy as np
import pytest
from fuzzing import BYTES, EDITS, SPACES, TEXT, cases, drawn, one_line, tampered
from hypothesis import given
from hypothesis import strategies as st
from scripts import start

from w2v_jax.data import writing
from w2v_jax.types import UserError
from w2v_jax.vectors import npz, similarity
from w2v_jax.vectors.binary_format import save as save_binary
from w2v_jax.vectors.io import load
from w2v_jax.vectors.npz import save as save_npz
from w2v_jax.vectors.text_format import save as save_text
from w2v_jax.vectors.word_vectors import WordVectors

pytestmark = pytest.mark.filterwarnings("ignore:.*left out|.*announced|.*no line end")
ONES = np.ones((3, 2), np.float32)


def test_so_many_cases_are_drawn():
    assert drawn[__name__] == 5100


@pytest.fixture(autouse=True)
def ends_soon():
    """What would wait for ever is a failure."""

    def late(number, frame):
        raise TimeoutError("still waiting")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, 300 * max(1, int(os.environ.get("W2V_JAX_FUZZ", "1"))))
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing.os, "fsync", lambda descriptor: None)  # thousands of them take long
        yield tmp_path_factory.mktemp("vectors")


def compressed(path, wv):
    with open(path, "wb") as file:
        np.savez_compressed(file, words=np.array(wv.words), vectors=wv.vectors)


def stored(path, wv):
    save_npz(path, wv.words, vectors=wv.vectors)


SAVERS = {".txt": [save_text], ".bin": [save_binary], ".npz": [stored, compressed]}
WRITTEN = WordVectors(
    ("the", "naïve", "木", "<unk>"),
    np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32),
)


@pytest.fixture(scope="module")
def valid(folder):
    """(suffix, content) of valid files of each format."""
    found = []
    for suffix, savers in SAVERS.items():
        for save in savers:
            save(folder / f"valid{suffix}", WRITTEN)
            found.append((suffix, (folder / f"valid{suffix}").read_bytes()))
    return found


def read(path, content=None):
    """What a file gives, checked for what every result must be; None where it was refused."""
    if content is not None:
        path.write_bytes(content)
    try:
        wv = load(path)
    except UserError as error:
        assert one_line(error).startswith(f"{path}: ")
        return None
    assert len(wv.words) == len(set(wv.words)) == len(wv.vectors) > 0
    assert wv.vectors.ndim == 2 and wv.vectors.dtype == np.float32 and wv.vectors.size
    assert np.isfinite(wv.vectors).all()
    assert all(word.strip() and "\n" not in word and word.encode() for word in wv.words)
    return wv


@cases(900)
@given(st.sampled_from(list(SAVERS)), st.sampled_from([b"", b"1 1\n", b"2 2\n", b"PK\3\4"]), BYTES)
@pytest.mark.slow
def test_any_bytes_are_read_or_refused(folder, suffix, head, content):
    read(folder / f"any{suffix}", head + content)


@cases(2400)
@given(st.integers(0, 3), EDITS)
@pytest.mark.slow
def test_a_file_that_was_tampered_with_is_read_or_refused(folder, valid, which, edits):
    suffix, content = valid[which]
    read(folder / f"tampered{suffix}", tampered(content, edits))


@cases(900)
@given(
    st.integers(0, 3),
    TEXT,
    st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=4),
)
@pytest.mark.slow
def test_words_that_a_text_may_hold_come_back(folder, which, text, row):
    suffix, save = [(s, save) for s, savers in SAVERS.items() for save in savers][which]
    words = list(dict.fromkeys(text.split())) or ["a"]
    if save is compressed:  # NumPy's own cuts what ends in NUL
        words = [word for word in words if word[-1] != "\0"] or ["a"]
    wv = WordVectors(tuple(words), np.tile(np.float32(row), (len(words), 1)))
    save(folder / f"back{suffix}", wv)
    back = load(folder / f"back{suffix}")
    assert back.words == wv.words and back.vectors.tobytes() == wv.vectors.tobytes()


@cases(300)
@given(st.sampled_from(list(SAVERS)), st.sampled_from(SPACES), st.text(max_size=3))
@pytest.mark.slow
def test_a_word_with_a_space_comes_back_or_is_not_written(folder, suffix, space, rest):
    wv = WordVectors(("a", f"b{space}{rest}"), ONES[:2])
    path = folder / f"spaced{suffix}"
    try:
        SAVERS[suffix][0](path, wv)
    except UserError as error:
        assert "row 2: the word" in one_line(error) and not path.exists()
        assert suffix != ".npz" or "\n" in wv.words[1] or not encodes(wv.words[1])
    else:
        assert suffix == ".npz" and read(path).words == wv.words
        path.unlink()


def encodes(word):
    return not any("\ud800" <= letter <= "\udfff" for letter in word)


HEADER = "{'descr': %s, 'fortran_order': %s, 'shape': %s, }"
SHAPES = ["(4,)", "(4, 3)", "()", "(-1,)", "(10**12,)", "(1000000000000, 3)", "(4294967296,) * 2"]
SHAPES += ["(4, 0)", "(0,)", "4", "'4'", "(4, 3.0)", "(True, 3)", "[4, 3]", "(4,) * 70"]
DESCRS = ["'<f4'", "'>f8'", "'<f2'", "'|O'", "'<U5'", "'>U3'", "'<U0'", "'|V4'", "'|u1'", "'<c8'"]
DESCRS += ["'<U250000000'", "[('a', '<f4')]", "'M8[s]'", "('<f4', (3,))", "None", "'\\q'", "'f'*99"]


@cases(600)
@given(
    *(st.sampled_from(DESCRS), st.sampled_from(SHAPES)) * 2,
    st.sampled_from(["False", "True", "1", "x"]),
    st.sampled_from([b"\x93NUMPY\1\0", b"\x93NUMPY\2\0", b"\x93NUMPY\3\0", b"\x93NUMP", b""]),
    st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
)
@pytest.mark.slow
def test_npz_headers_of_any_kind_are_read_or_refused(
    folder, words, shape, vectors, table, order, magic, packing
):
    path = folder / "headers.npz"
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, descr, size in (("words", words, shape), ("vectors", vectors, table)):
            header = (HEADER % (descr, order, size)).encode() + b"\n"
            length = len(header).to_bytes(4 if magic.endswith(b"\2\0") else 2, "little")
            archive.writestr(f"{name}.npy", magic + length + header + b"\1\0\0\0" * 12)
    read(path)


def refused(path, content=None) -> str:
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        load(path)
    return one_line(caught.value)


@pytest.mark.parametrize("suffix", SAVERS)
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("device", "is a device"),
        ("folder", "is a folder"),
        ("loop", "symbolic links"),
        ("nowhere", "No such file"),
        ("empty", ""),
    ],
)
def test_what_is_no_file_is_refused_at_once(tmp_path, suffix, kind, said):
    path = tmp_path / f"x{suffix}"
    made = {
        "device": lambda: path.symlink_to("/dev/zero"),
        "folder": path.mkdir,
        "loop": lambda: path.symlink_to(path),
        "nowhere": lambda: path.symlink_to(tmp_path / "none"),
        "empty": path.touch,
    }
    made[kind]()
    assert said in refused(path)


def test_a_link_to_a_file_is_read_and_a_path_with_nul_refused(tmp_path):
    save_text(tmp_path / "x.txt", WRITTEN)
    (tmp_path / "link.txt").symlink_to(tmp_path / "x.txt")
    assert load(tmp_path / "link.txt").words == WRITTEN.words
    with pytest.raises(UserError, match="null"):
        load("a\0.txt")


def test_text_may_have_crlf_and_a_byte_order_mark_and_lack_its_last_newline(tmp_path):
    path = tmp_path / "x.txt"
    for content in (
        b"\xef\xbb\xbf2 1\r\na 1\r\nb 2\r\n",
        b"2 1\na 1 \nb 2",
        b"02 001 \na 1\nb 2\n\n",
    ):
        path.write_bytes(content)
        back = load(path)
        assert back.words == ("a", "b") and back.vectors.tolist() == [[1], [2]]


def test_a_header_is_a_line_of_at_most_100_bytes(tmp_path):
    assert "line 1" in refused(tmp_path / "x.bin", b"1 1" + b" " * 200 + b"\na \0\0\0\0")


def npy_bytes(header: str, data=b"") -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text + data


def npz_of(path, words: bytes, vectors: bytes, packing=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", packing) as archive:
        archive.writestr("words.npy", words)
        archive.writestr("vectors.npy", vectors)


def one(array) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_nothing_is_allocated_on_the_word_of_a_header(tmp_path):
    huge = HEADER % ("'<f4'", "False", "(1000000, 1000000)")
    bomb = HEADER % ("'<f4'", "False", "(1, 17000000)")
    npz_of(tmp_path / "claims.npz", one(np.array(["a"])), npy_bytes(huge))
    npz_of(tmp_path / "bomb.npz", one(np.array(["a"])), npy_bytes(bomb, bytes(68_000_000)))
    (tmp_path / "v.txt").write_bytes(b"99999999999 100\na 1\n")
    (tmp_path / "d.txt").write_bytes(b"1 999999999999\na 1\n")
    (tmp_path / "d.bin").write_bytes(b"99999999999 100\na 1234")
    for name, said in (
        ("claims.npz", "claims more than the file holds"),
        ("bomb.npz", "claims more than the file holds"),
        ("v.txt", "line 2: expected 100 values"),
        ("d.txt", "line 2: expected 999,999,999,999 values"),
        ("d.bin", "cut short within row 1"),
    ):
        tracemalloc.start()
        assert said in refused(tmp_path / name)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2**21, name


def test_an_archive_is_never_unpacked_and_nothing_in_it_is_run(tmp_path):
    mark = tmp_path / "mark"

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(mark),)

    objects = npy_bytes(HEADER % ("'|O'", "False", "(1,)"), pickle.dumps(Evil()))
    words, vectors = one(np.array(["a"])), one(np.ones((1, 2), np.float32))
    path = tmp_path / "x.npz"
    for pair in ((objects, vectors), (words, objects), (pickle.dumps(Evil()), vectors)):
        npz_of(path, *pair)
        refused(path)
    refused(path, pickle.dumps(Evil()))
    refused(path, objects)
    before = set(tmp_path.iterdir())
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("../words.npy", "/tmp/words.npy", "../../mark", "evil.npy"):
            archive.writestr(name, words)
        archive.writestr("words.npy", words)
        archive.writestr("vectors.npy", vectors)
    assert load(path).words == ("a",)
    assert set(tmp_path.iterdir()) == before and not mark.exists()


def test_letters_beyond_unicode_are_refused(tmp_path):
    bad = np.frombuffer(b"\xff\xff\xff\x7f", "<U1")
    npz_of(tmp_path / "x.npz", one(bad), one(np.ones((1, 2), np.float32)))
    assert "not an npz" in refused(tmp_path / "x.npz")


def test_words_of_ten_megabytes_are_kept_by_every_format(tmp_path):
    wv = WordVectors(("a" * 10**7, "b" * 3, "c\0"), ONES)
    for suffix, (save, *_) in SAVERS.items():
        save(tmp_path / f"x{suffix}", wv)
        assert load(tmp_path / f"x{suffix}").words == wv.words


def test_long_and_short_words_share_an_npz_in_memory_of_their_own_size(tmp_path, monkeypatch):
    monkeypatch.setattr(npz, "MOST_UNICODE", 4 * 3 * 20)
    for longest, kind in ((20, "U"), (21, "u")):
        words = ("a" * longest, "木", "b")
        save_npz(tmp_path / "x.npz", words, vectors=ONES)
        with np.load(tmp_path / "x.npz", allow_pickle=False) as arrays:
            assert arrays["words"].dtype.kind == kind
        assert load(tmp_path / "x.npz").words == words


def test_packed_words_must_be_utf8_and_one_a_row(tmp_path):
    for packed in (b"a\xff\nb\nc", b"a\nb", b"a\nb\nc\n", b""):
        npz_of(tmp_path / "x.npz", one(np.frombuffer(packed, np.uint8)), one(ONES))
        refused(tmp_path / "x.npz")


def test_a_save_through_links_overwrites_nothing_else(tmp_path):
    other = tmp_path / "other"
    other.write_text("mine")
    for suffix, (save, *_) in SAVERS.items():
        path = tmp_path / f"x{suffix}"
        path.symlink_to(other)
        (tmp_path / f".x{suffix}.{os.getpid()}.part").symlink_to(other)
        save(path, WRITTEN)
        assert other.read_text() == "mine" and not path.is_symlink()


@pytest.mark.parametrize("power", [-36, -30, 30, 37])
def test_large_and_small_numbers_have_the_neighbours_of_plain_ones(power):
    plain = np.random.default_rng(1).uniform(0.1, 1, (20, 5)).astype(np.float32)
    ids, cosines = similarity.most_similar(plain, [0, 7], 19)
    other, their = similarity.most_similar(plain * np.float32(10.0**power), [0, 7], 19)
    np.testing.assert_allclose(their, cosines, atol=1e-6)
    assert (ids == other).mean() > 0.9  # but for ties


def test_a_long_unknown_word_is_answered_at_once():
    words = [f"{'a' * 5000}{i}" for i in range(200)]
    _, (line,) = similarity.find_all(words, ["a" * 6000 + "b"])
    assert "not in the vocabulary" in line


HOSTILE = {
    "nan.txt": b"1 2\nthe 1 nan\n",
    "header.txt": b"99999999999 100\nthe 1\n",
    "space.bin": b"1 1\n\xc2\x85 \0\0\0\0\n",
    "bytes.bin": b"1 1\n\xff\xfe \0\0\0\0\n",
    "cut.npz": b"PK\3\4" + bytes(20),
    "vectors.pkl": pickle.dumps(ONES),
}


SCRIPTS = {"query": ["--similar=the"], "evaluate": ["--nostandard", "--pairs=none.txt"]}
OTHERS = {
    "a word with no name": ("query", ["--vectors={}", "--similar=,"]),
    "an analogy of spaces": ("query", ["--vectors={}", "--analogy= , , "]),
    "pairs that are a device": ("evaluate", ["--vectors={}", "--nostandard", "--pairs=/dev/zero"]),
    "analogies in a folder": ("evaluate", ["--vectors={}", "--nostandard", "--analogies=/"]),
    "vectors in a device": ("query", ["--vectors=/dev/zero", "--similar=a"]),
    "a run that is no folder": ("query", ["--run={}", "--similar=a"]),
}


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_script_refuses_hostile_vectors_in_one_line(capsys, tmp_path, script, name):
    (tmp_path / name).write_bytes(HOSTILE[name])
    refused_in_one_line(capsys, script, f"--vectors={tmp_path / name}", *SCRIPTS[script])


@pytest.mark.parametrize("case", OTHERS)
def test_a_script_refuses_other_input_in_one_line(capsys, tmp_path, case):
    script, args = OTHERS[case]
    (tmp_path / "v.txt").write_text("2 1\na 1\nb 2\n")
    refused_in_one_line(capsys, script, *(arg.format(tmp_path / "v.txt") for arg in args))


def refused_in_one_line(capsys, script, *args):
    assert start(script, *args) == 1
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if not line.startswith("note: XLA_FLAGS")]
    assert not out and len(lines) == 1 and lines[0].startswith("error: ")
