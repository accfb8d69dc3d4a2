"""Files to ids against a naive derivation, at every chunk border; the cache of what was read."""

import bz2
import gzip
import hashlib
import io
import lzma
import os
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from w2v_jax import ingest, store, train
from w2v_jax.corpus import Source, locate
from w2v_jax.numbering import Numbering, Words, tokens
from w2v_jax.types import UserError

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


class BadByte(Exception):
    """File, line and byte, from 1, of what is not UTF-8."""


def naive_read(files, eos, max_words):
    """The lines read, as words, and the bytes read."""
    lines, data, left = [], [], max_words or 10**9
    for number, file in enumerate(files):
        for i, line in enumerate(io.BytesIO(file)):
            try:
                text = line.decode()
            except UnicodeDecodeError as error:
                raise BadByte(number, i + 1, error.start + 1) from error
            words = (text.removeprefix("\ufeff") if i == 0 else text).split()
            words = ([*words, "<eos>"] if eos else words)[:left]
            lines.append(words)
            data.append(line)
            left -= len(words)
            if not left:
                return lines, b"".join(data)
    return lines, b"".join(data)


def naive_choice(read, min_count, max_vocab, unk, eos):
    """(lines that are left, vocabulary as (word, count)), or None where no word is left."""
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
    kept = set(kept)
    if unk == "drop":
        text = [[w for w in line if w in kept] for line in read]
    else:
        text = [[w if w in kept else "<unk>" for w in line] for line in read]
    if eos:
        text = [[word for line in text for word in line]]
    text = [line for line in text if line]
    return text, Counter(w for line in text for w in line).most_common()


def written(folder, files, suffix="", pack=bytes):
    paths = [folder / f"{i}{suffix}" for i in range(len(files))]
    for path, data in zip(paths, files, strict=True):
        path.write_bytes(pack(data))
    return Source("files", tuple(map(str, paths)), "")


def load(source, cache_dir="none", **options):
    return ingest.load(source, cache_dir=str(cache_dir), **options)


def decoded(corpus):
    starts = [0, *corpus.line_ends[:-1].tolist()]
    words = [corpus.vocab.words[i] for i in corpus.ids.tolist()]
    return [words[a:b] for a, b in zip(starts, corpus.line_ends.tolist(), strict=True)]


def check(corpus, files, min_count=1, max_vocab=0, unk="keep", eos=False, max_words=0):
    """Compares a corpus with the naive derivation."""
    read, data = naive_read(files, eos, max_words)
    text, types = naive_choice(read, min_count, max_vocab, unk, eos)
    assert decoded(corpus) == text
    assert list(zip(corpus.vocab.words, corpus.vocab.counts.tolist(), strict=True)) == types
    assert corpus.words == sum(map(len, read))
    assert corpus.sha256 == hashlib.sha256(data).hexdigest()
    assert corpus.line_ends[-1] == len(corpus.ids)
    dtypes = corpus.ids.dtype, corpus.line_ends.dtype, corpus.vocab.counts.dtype
    assert dtypes == (np.int32, np.int64, np.int64)


def error_of(function, *args, **options):
    with pytest.raises(UserError) as caught:
        function(*args, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Reading


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
def test_any_text_is_read_as_the_naive_derivation_reads_it(tmp_path_factory, files, size, options):
    source = written(tmp_path_factory.mktemp("text"), files)
    read, _ = naive_read(files, options.get("eos", False), options.get("max_words", 0))
    choice = {"min_count": 1, "max_vocab": 0, "unk": "keep", "eos": False, **options}
    choice.pop("max_words", None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ingest, "CHUNK", size)
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
        patch.setattr(ingest, "CHUNK", size)
        try:
            read, _ = naive_read(files, eos, max_words)
        except BadByte as bad:
            file, line, byte = bad.args
            expected = f"{source.paths[file]}: line {line}, byte {byte}: not UTF-8"
            assert error_of(load, source, eos=eos, max_words=max_words) == expected
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
    monkeypatch.setattr(ingest, "CHUNK", 5000)
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


def test_every_character_that_splits_does_and_no_other(tmp_path):
    assert not any(chr(i).isspace() for i in range(0x3001, sys.maxunicode + 1))
    text = "".join(f"a{chr(i)}b\n" for i in range(0x3400))
    found, newlines = tokens(text.encode())
    spans = zip(found.starts.tolist(), (found.starts + found.lengths).tolist(), strict=True)
    assert [found.text[a:b].decode() for a, b in spans] == text.split()
    ends = [len(line.split()) for line in text.split("\n")[:-1]]
    assert newlines.tolist() == np.cumsum(ends).tolist()


@settings(max_examples=200, deadline=None)
@example("a\u2003", 1)
@example("\x85\xa0", 1)
@example("é\u205f\u2060\u1680\u2028", 2)
@given(
    st.text(
        st.one_of(
            st.characters(exclude_categories=["Cs"]),
            st.characters(min_codepoint=0x1FF0, max_codepoint=0x2070),
            st.sampled_from("  \n\x1c\x85\xa0\u1680\u3000"),
        ),
        max_size=60,
    ),
    st.integers(1, 9),
)
def test_any_unicode_text_is_split_and_numbered_as_by_split_and_a_dict(text, parts):
    pieces, table, dictionary, size = [], Numbering(), {}, len(text) // parts + 1
    for i in range(0, len(text), size):
        piece = text[i : i + size]
        pieces.append((numbered(table, piece.encode()), piece.split()))
        for word in pieces[-1][1]:
            dictionary.setdefault(word, len(dictionary))
    types, id_of = table.by_appearance()
    assert [word.decode() for word in types] == list(dictionary)
    for ids, words in pieces:
        assert ids == [id_of[dictionary[word]] for word in words]


def test_a_chunk_may_be_read_to_the_middle_of_a_wide_space(tmp_path, monkeypatch):
    spaces = [c for c in map(chr, range(128, 0x3001)) if c.isspace()]
    for size in (7, 8, 9):
        monkeypatch.setattr(ingest, "CHUNK", size)
        for open_end in ("", "\u3000", "\u2003\n"):
            text = "".join(f" a{'b' * i}{space}c\n" for space in spaces for i in range(9))
            files = [f"{text}{open_end}".encode()]
            check(load(written(tmp_path, files)), files)


def numbered(table, text):
    return table.number(Words(tokens(text)[0])).tolist()


def test_words_of_equal_hash_are_told_apart(monkeypatch):
    monkeypatch.setattr("w2v_jax.numbering._MIX", np.uint64(0))
    words = [b"a", b"b", b"abcdefgh", b"abcdefghi", b"abcdefgh" * 3, b"abcdefgh" * 2 + b"abcdefgi"]
    table, order = Numbering(), [0, 1, 0, 2, 3, 4, 5, 4, 3, 2, 1]
    for _ in range(2):
        ids = numbered(table, b" ".join(words[i] for i in order))
        types, id_of = table.by_appearance()
        assert types == words and ids == [id_of[i] for i in order]


def test_ids_stay_while_the_table_grows():
    words = [f"{'x' * (i % 20)}{i}".encode() for i in range(5000)]
    table, ids = Numbering(), []
    for i in range(0, len(words), 700):
        ids += numbered(table, b"\n".join(words[: i + 700]))[i:]
    types, id_of = table.by_appearance()
    assert types == words and ids == id_of.tolist()
    assert sorted(ids) == list(range(5000))
    assert numbered(table, b"") == []


def test_max_words_stops_reading(tmp_path):
    source = written(tmp_path, [b"a b\nc d e\n" + b"f" * 99 + b"\n\xff\n"])
    found = load(source, max_words=4)
    assert found.line_ends.tolist() == [2, 4] and found.words == 4
    assert found.vocab.words == tuple("abcd")
    assert load(source, max_words=5).words == 5
    assert load(source, max_words=3, eos=True).vocab.words == ("a", "b", "<eos>")


def test_a_file_that_breaks_off_behind_the_last_word_wanted_does_no_harm(tmp_path, monkeypatch):
    monkeypatch.setattr(ingest, "CHUNK", 100)
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
        assert message == f"{path}: cannot be read ({why})"


@pytest.mark.skipif(not os.environ.get("W2V_JAX_DATA"), reason="W2V_JAX_DATA is not set")
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


# The cache


@pytest.fixture
def text(tmp_path):
    (tmp_path / "text").mkdir()
    return written(tmp_path / "text", [b"a b a\n\nb c\n"])


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def kept(cache):
    """The folder of the only corpus in the cache."""
    (folder,) = [p for p in (cache / "corpora").iterdir() if p.name != "sources"]
    return folder


def unread(monkeypatch):
    """From here on reading a text fails the test."""

    def scan(*args):
        raise AssertionError("read anew")

    monkeypatch.setattr(ingest, "_scan", scan)


def test_a_second_start_maps_what_the_first_made(text, cache, monkeypatch):
    first = load(text, cache, min_count=2)
    unread(monkeypatch)
    again = load(text, cache, min_count=2)
    for corpus in (first, again):
        check(corpus, [b"a b a\n\nb c\n"], min_count=2)
        assert isinstance(corpus.ids, np.memmap) and not corpus.ids.flags.writeable
    tokens, lines = train.chunk_arrays(again, 0, 5, 6)
    assert tokens.tolist()[:5] == again.ids.tolist() and lines.tolist() == [0, 0, 0, 1, 1, -1]
    with pytest.raises(AssertionError):
        load(text, cache, min_count=1)


@pytest.mark.parametrize(
    "value", [("min_count", 2), ("max_vocab", 2), ("unk", "drop"), ("eos", True), ("max_words", 3)]
)
def test_each_setting_has_its_own_corpus(text, cache, value):
    load(text, cache)
    check(load(text, cache, **dict([value])), [b"a b a\n\nb c\n"], **dict([value]))


def test_a_changed_text_is_read_anew(text, cache):
    load(text, cache)
    about = os.stat(text.paths[0])
    with open(text.paths[0], "wb") as file:
        file.write(b"a b d\n\nb c\n")
    os.utime(text.paths[0], ns=(about.st_atime_ns, about.st_mtime_ns + 1))
    check(load(text, cache), [b"a b d\n\nb c\n"])


def test_the_same_text_elsewhere_shares_the_corpus(text, cache, tmp_path):
    load(text, cache)
    (tmp_path / "copy").write_bytes(b"a b a\n\nb c\n")
    before = os.stat(kept(cache)).st_ino
    check(load(Source("files", (f"{tmp_path}/copy",), ""), cache), [b"a b a\n\nb c\n"])
    assert os.stat(kept(cache)).st_ino == before


def test_a_text_that_changes_while_it_is_read_is_not_taken_for_known(text, cache, monkeypatch):
    scan = ingest._scan

    def meanwhile(paths, *rest):
        found = scan(paths, *rest)
        with open(paths[0], "ab") as file:
            file.write(b"z\n")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(ingest, "_scan", meanwhile)
        check(load(text, cache), [b"a b a\n\nb c\n"])
    check(load(text, cache), [b"a b a\n\nb c\nz\n"])


@pytest.mark.parametrize(
    "name", [store.IDS, store.LINE_ENDS, store.COUNTS, store.WORDS, store.HEADER]
)
@pytest.mark.parametrize("harm", ["cut", "flip", "delete"])
def test_a_damaged_corpus_is_made_anew(text, cache, monkeypatch, name, harm):
    load(text, cache)
    path = kept(cache) / name
    data = path.read_bytes()
    if harm == "delete":
        path.unlink()
    else:
        path.write_bytes(data[:-1] if harm == "cut" else bytes([data[0] ^ 1]) + data[1:])
    notes = []
    check(load(text, cache, note=notes.append), [b"a b a\n\nb c\n"])
    assert len(notes) == 1 and str(kept(cache)) in notes[0] and "read anew" in notes[0]
    unread(monkeypatch)
    check(load(text, cache, note=notes.append), [b"a b a\n\nb c\n"])
    assert len(notes) == 1


def test_damage_at_either_end_of_a_large_file_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "_BLOCK", 8)
    monkeypatch.setattr(store, "_BLOCKS", 4)
    data = bytes(range(200))
    path = tmp_path / store.IDS
    path.write_bytes(data)
    whole = store._checksum(str(path))
    for at in (0, 7, 64, 192, 199):
        path.write_bytes(data[:at] + b"\xff" + data[at + 1 :])
        assert store._checksum(str(path)) != whole


def test_a_corpus_of_another_format_is_made_anew(text, cache, monkeypatch):
    load(text, cache)
    folder = kept(cache)
    monkeypatch.setattr(store, "FORMAT", store.FORMAT + 1)
    with pytest.raises(store.Damaged, match="format"):
        store.read(str(folder), store.Settings())
    check(load(text, cache), [b"a b a\n\nb c\n"])
    assert len(list((cache / "corpora").iterdir())) == 3


def test_a_cache_that_cannot_be_written_is_told_and_done_without(text, cache):
    cache.write_bytes(b"a file")
    notes = []
    check(load(text, cache, note=notes.append), [b"a b a\n\nb c\n"])
    assert len(notes) == 1 and notes[0].startswith(f"the corpus is not cached: {cache}")


def test_a_full_disk_is_told_and_leaves_nothing(text, cache, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(store, "finish", full)
        notes = []
        assert "cannot be written (No space left" in error_of(load, text, cache, note=notes.append)
    assert len(notes) == 1 and "No space left on device" in notes[0]
    assert os.listdir(cache / "corpora") == []
    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", full)
        check(load(text, cache, note=notes.append), [b"a b a\n\nb c\n"])
    assert len(notes) == 2 and os.listdir(cache / "corpora") == []


def test_without_a_cache_nothing_is_left(text, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    check(load(text), [b"a b a\n\nb c\n"])
    assert os.listdir(tmp_path / "tmp") == [] and "none" not in os.listdir(tmp_path)


def test_several_at_once(text, cache):
    notes = []
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: load(text, cache, note=notes.append), range(12)))
    assert notes == []
    for corpus in found:
        check(corpus, [b"a b a\n\nb c\n"])
    assert sorted(os.listdir(cache / "corpora")) == sorted([kept(cache).name, "sources"])


def test_what_is_no_regular_file_is_never_taken_for_known(cache, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    source = Source("files", (str(tmp_path / "pipe"),), "")
    for data in (b"a b\n", b"c d\n"):
        with ThreadPoolExecutor(1) as pool:
            pool.submit((tmp_path / "pipe").write_bytes, data)
            check(load(source, cache), [data])
