"""Files to ids against a naive derivation, at every chunk border."""

import bz2
import gzip
import lzma
import os
import signal
import threading

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from naive import BadByte, check, error_of, load, naive_choice, naive_read, written

from w2v_jax.data import loader
from w2v_jax.data.sources import Source, locate

# Words of 7, 8, 9, 16 and 17 bytes, one the beginning of the next; spaces of every kind and what
# only looks like one; what is not UTF-8.
LETTERS = [
    *"ab",
    "é",
    "漢",
    "abcdefg",
    "abcdefgh",
    "abcdefghi",
    "abcdefgh" * 2,
    "abcdefgh" * 2 + "i",
]
SPACES = [*" \n\n\t\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2003\u2028\u2029\u3000", "\r\n"]
NO_SPACES = [*"\0\x01\x1b\x7f\u200b\ufeff", "<unk>", "<eos>"]
PIECES = [piece.encode() for piece in LETTERS + SPACES + NO_SPACES]
BAD = [b"\xff", b"\xc3", b"\xe2\x80", b"\xed\xa0\x80"]
TEXTS = st.lists(st.sampled_from([*PIECES, *[b" a", b" b", b" c "] * 4]), max_size=25).map(b"".join)
SETTINGS = {
    "min_count": st.integers(0, 4),
    "max_vocab": st.integers(0, 5),
    "unk": st.sampled_from(["keep", "drop"]),
    "eos": st.booleans(),
    "max_words": st.integers(0, 20),
}


@settings(max_examples=250, deadline=None)
@example([b"\xef\xbb\xbf", b"a"], 9, {"eos": True})
@example([b"a\n ", b"b"], 2, {"eos": True})
@example([b"a b", b"a"], 9, {"unk": "drop", "min_count": 2})
@example([b"a\nb c d e\n"], 2, {"max_words": 3})
@given(
    st.lists(TEXTS, min_size=1, max_size=3),
    st.integers(1, 40),
    st.fixed_dictionaries({}, optional=SETTINGS),
)
@pytest.mark.slow
def test_any_text_is_read_as_the_naive_derivation_reads_it(tmp_path_factory, files, size, options):
    source = written(tmp_path_factory.mktemp("text"), files)
    read, _ = naive_read(files, options.get("eos", False), options.get("max_words", 0))
    choice = {"min_count": 1, "max_vocab": 0, "unk": "keep", "eos": False, **options}
    choice.pop("max_words", None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loader, "CHUNK", size)
        if naive_choice(read, **choice) is None:
            error_of(load, source, **options)
        else:
            check(load(source, **options), files, **options)


@settings(max_examples=120, deadline=None)
@example([b"a\nb\xff\n"], 2, True, 1)
@example([b"a b\xc3"], 2, False, 1)
@given(
    st.lists(
        st.lists(st.sampled_from([*BAD, *PIECES, *[b" a\n", b" b "] * 12]), max_size=20).map(
            b"".join
        ),
        min_size=1,
        max_size=2,
    ),
    st.integers(1, 40),
    st.booleans(),
    st.sampled_from([0, 0, 1, 3, 8]),
)
def test_names_the_byte_that_is_not_utf8(tmp_path_factory, files, size, eos, max_words):
    source = written(tmp_path_factory.mktemp("text"), files)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loader, "CHUNK", size)
        try:
            read, _ = naive_read(files, eos, max_words)
        except BadByte as bad:
            file, line, byte = bad.args
            expected = f"{source.paths[file]}: line {line}, byte {byte}: not UTF-8"
            assert error_of(load, source, eos=eos, max_words=max_words).startswith(expected)
        else:
            if naive_choice(read, 1, 0, "keep", eos):
                check(
                    load(source, eos=eos, max_words=max_words), files, eos=eos, max_words=max_words
                )


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [("", bytes), (".gz", gzip.compress), (".xz", lzma.compress), (".bz2", bz2.compress)],
)
def test_a_large_text_of_several_chunks(tmp_path, monkeypatch, suffix, pack):
    monkeypatch.setattr(loader, "CHUNK", 5000)
    rng = np.random.default_rng(0)
    files = [
        "".join(
            " ".join(f"wört{i}" for i in rng.zipf(1.5, size=rng.integers(0, 30))) + "\n"
            for _ in range(2000)
        ).encode()
        for _ in range(2)
    ]
    source = written(tmp_path, files, suffix, pack)
    options = dict(min_count=3, max_vocab=200, max_words=40_000)
    seen = []
    check(load(source, progress=seen.append, **options), files, **options)
    check(load(source, unk="drop", min_count=3), files, unk="drop", min_count=3)
    assert 0 < sum(seen) < sum(map(len, files)) and len(seen) > 20


def test_a_chunk_may_be_read_to_the_middle_of_a_wide_space(tmp_path, monkeypatch):
    spaces = [c for c in map(chr, range(128, 0x3001)) if c.isspace()]
    for size in (7, 8, 9):
        monkeypatch.setattr(loader, "CHUNK", size)
        for open_end in ("", "\u3000", "\u2003\n"):
            text = "".join(f" a{'b' * i}{space}c\n" for space in spaces for i in range(9))
            files = [f"{text}{open_end}".encode()]
            check(load(written(tmp_path, files)), files)


@pytest.mark.slow
def test_an_interrupt_does_not_wait_for_a_pipe(tmp_path):
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)
    rescued = []

    def write():  # or the test would not end
        rescued.append(pipe)
        os.close(os.open(pipe, os.O_WRONLY))

    def interrupt(number, frame):
        raise KeyboardInterrupt

    rescue, before = threading.Timer(10, write), signal.signal(signal.SIGALRM, interrupt)
    rescue.start()
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(KeyboardInterrupt):
            load(Source("files", (pipe,), ""))
        assert not rescued
    finally:
        signal.signal(signal.SIGALRM, before)
        rescue.cancel()
        if not rescued:  # lets the thread go that waits
            os.close(os.open(pipe, os.O_WRONLY))


def test_max_words_stops_reading(tmp_path):
    source = written(tmp_path, [b"a b\nc d e\n" + b"f" * 99 + b"\n\xff\n"])
    found = load(source, max_words=4)
    assert found.line_ends.tolist() == [2, 4] and found.words == 4
    assert found.vocab.words == tuple("abcd")
    assert load(source, max_words=5).words == 5
    assert load(source, max_words=3, eos=True).vocab.words == ("a", "b", "<eos>")


def test_a_file_that_breaks_off_behind_the_last_word_wanted_does_no_harm(tmp_path, monkeypatch):
    monkeypatch.setattr(loader, "CHUNK", 100)
    broken = gzip.compress(os.urandom(500_000).hex().encode())[:-100_000]
    (tmp_path / "b.gz").write_bytes(broken)
    (tmp_path / "a").write_bytes(b"a b\nc d\n")
    source = Source("files", (f"{tmp_path}/a", f"{tmp_path}/b.gz"), "")
    assert load(source, max_words=4).words == 4
    assert error_of(load, source).startswith(f"{tmp_path}/b.gz: cannot be read (")


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        ([b""], {}, "{0}: holds no words"),
        ([b" \n\n", b"\n"], {}, "{0} and 1 more: holds no words"),
        ([b"a", b"b"], {"min_count": 9}, "no word of {0} and 1 more is left"),
        ([b"a"], {"unk": "skip"}, "--unk=skip: not one of keep, drop"),
    ],
)
def test_error_lines(tmp_path, files, options, message):
    source = written(tmp_path, files)
    assert message.format(source.paths[0]) in error_of(load, source, **options)


def test_what_cannot_be_read_is_named(tmp_path):
    for path, why in (("missing", "No such file or directory"), ("", "Is a directory")):
        path = str(tmp_path / path)
        message = error_of(load, Source("files", (path,), ""))
        assert message in (f"{path}: cannot be read ({why})", f"{path}: is a folder, not a file")


@pytest.mark.skipif(not os.environ.get("W2V_JAX_DATA"), reason="W2V_JAX_DATA is not set")
@pytest.mark.slow
def test_penn_treebank_as_the_book_and_d2l_read_it():
    source = locate("ptb", data_dir=os.environ["W2V_JAX_DATA"])
    book = load(source, eos=True)
    assert len(book.ids) == book.words == 929_589 and len(book.vocab.words) == 10_000
    assert book.line_ends.tolist() == [929_589]
    assert book.sha256.startswith("fcea919f6cf83f35")
    d2l = load(source, min_count=10, unk="drop")
    assert len(d2l.ids) == 820_056 and len(d2l.vocab.words) == 6_718 and d2l.words == 887_521
    with open(source.paths[0], "rb") as file:
        check(d2l, [file.read()], min_count=10, unk="drop")
