"""The cache of ingested corpora: found, told apart, damaged, full, shared."""

import json
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from naive import check, error_of, load, written

from w2v_jax.data import id_cache, loader
from w2v_jax.data.corpus import Corpus
from w2v_jax.data.sources import Source


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

    monkeypatch.setattr(loader, "_scan", scan)


def test_a_second_start_maps_what_the_first_made(text, cache, monkeypatch):
    first = load(text, cache, min_count=2)
    unread(monkeypatch)
    again = load(text, cache, min_count=2)
    for corpus in (first, again):
        check(corpus, [b"a b a\n\nb c\n"], min_count=2)
        assert isinstance(corpus.ids, id_cache.Ids) and not corpus.line_ends.flags.writeable
    tokens, lines = Corpus.of(again).arrays(0, 5, 6)
    assert tokens.tolist()[:5] == again.ids[:].tolist() and lines.tolist() == [0, 0, 0, 1, 1, -1]
    with pytest.raises(AssertionError):
        load(text, cache, min_count=1)


@pytest.mark.parametrize(
    "value", [("min_count", 2), ("max_vocab", 2), ("unk", "drop"), ("eos", True), ("max_words", 3)]
)
def test_each_setting_has_its_own_corpus(text, cache, value):
    load(text, cache)
    check(load(text, cache, **dict([value])), [b"a b a\n\nb c\n"], **dict([value]))


def test_known_words_have_a_corpus_of_their_own_whatever_their_order(text, cache, monkeypatch):
    assert load(text, cache, min_count=2).vocab.words == ("a", "b", "<unk>")
    assert load(text, cache, min_count=2, known=("c", "x")).vocab.words == ("a", "b", "c")
    assert load(text, cache, min_count=2, known=("x",)).vocab.words == ("a", "b", "<unk>")
    assert (
        id_cache.digest_of(())
        == ""
        != id_cache.digest_of(("ab",))
        != id_cache.digest_of(("a", "b"))
    )
    unread(monkeypatch)
    assert load(text, cache, min_count=2, known=("x", "c", "x")).vocab.words == ("a", "b", "c")
    for known in ((), ("c",), ("c\nx",)):
        with pytest.raises(AssertionError):
            load(text, cache, known=known)


def test_a_cache_of_format_1_is_passed_over(text, cache, monkeypatch):
    old = [1, 0, "keep", False, 0]  # its settings
    with monkeypatch.context() as patch:
        patch.setattr(id_cache, "FORMAT", 1)
        patch.setattr(id_cache, "list", lambda settings: list(settings)[:5], raising=False)
        load(text, cache)
    folder = kept(cache)
    text_of_header, _, _ = (folder / id_cache.HEADER).read_bytes().partition(b"\n")
    header = json.loads(text_of_header)
    assert header["format"] == 1 and header["settings"] == old
    (folder / id_cache.IDS).write_bytes(bytes(20))
    notes = []
    check(load(text, cache, note=notes.append), [b"a b a\n\nb c\n"])
    assert notes == [] and (folder / id_cache.IDS).read_bytes() == bytes(20)


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
    scan = loader._scan

    def meanwhile(*given):
        found = scan(*given)
        with open(text.paths[0], "ab") as file:
            file.write(b"z\n")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(loader, "_scan", meanwhile)
        check(load(text, cache), [b"a b a\n\nb c\n"])
    check(load(text, cache), [b"a b a\n\nb c\nz\n"])


@pytest.mark.parametrize(
    "name", [id_cache.IDS, id_cache.LINE_ENDS, id_cache.COUNTS, id_cache.WORDS, id_cache.HEADER]
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
    monkeypatch.setattr(id_cache, "_BLOCK", 8)
    monkeypatch.setattr(id_cache, "_BLOCKS", 4)
    data = bytes(range(200))
    path = tmp_path / id_cache.IDS
    path.write_bytes(data)
    whole = id_cache._checksum(str(path))
    for offset in (0, 7, 64, 192, 199):
        path.write_bytes(data[:offset] + b"\xff" + data[offset + 1 :])
        assert id_cache._checksum(str(path)) != whole


def test_a_corpus_of_another_format_is_made_anew(text, cache, monkeypatch):
    load(text, cache)
    folder = kept(cache)
    monkeypatch.setattr(id_cache, "FORMAT", id_cache.FORMAT + 1)
    with pytest.raises(id_cache.Damaged, match="format"):
        id_cache.read(str(folder), id_cache.Settings())
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
        patch.setattr(id_cache, "finish", full)
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


@pytest.fixture
def ids(tmp_path):
    """0..999 in a file."""
    np.arange(1000, dtype="<i4").tofile(tmp_path / "ids")
    return id_cache.Ids(str(tmp_path / "ids"))


@pytest.mark.parametrize("most", [1, 7, 1 << 20])
def test_slices_of_ids_are_those_of_an_array_however_little_a_read_gives(ids, monkeypatch, most):
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda file, n, offset: pread(file, min(n, most), offset))
    array = np.arange(1000, dtype=np.int32)
    mixed = np.random.default_rng(0).permutation(1000).astype(np.int32)
    again = ids.renumbered(mixed)
    for a, b in ((0, 5), (17, 900), (990, 2000), (5, 5), (9, 3), (None, None), (-3, None)):
        for found, expected in (
            (ids, array),
            (again, mixed),
            (again.renumbered(999 - array), 999 - mixed),
        ):
            part = found[a:b]
            assert part.dtype == found.dtype == np.int32 and part.flags.writeable
            np.testing.assert_array_equal(part, expected[a:b])
    assert len(ids) == len(again) == 1000
    np.testing.assert_array_equal(np.asarray(again), mixed)
    assert np.asarray(ids, np.int64).dtype == np.int64
    with pytest.raises(IndexError):
        ids[::2]


def test_ids_of_a_deleted_file_stay_readable_and_descriptors_are_given_back(ids):
    before = len(os.listdir("/proc/self/fd"))
    again = ids.renumbered(np.arange(1000)[::-1])
    os.unlink(ids.path)
    assert ids[3:5].tolist() == [3, 4]
    assert len(os.listdir("/proc/self/fd")) == before + 1
    del ids
    assert again[:2].tolist() == [999, 998]
    del again
    assert len(os.listdir("/proc/self/fd")) < before + 1


def test_ids_cut_short_while_in_use_are_an_error_that_names_the_file(text, cache):
    corpus = load(text, cache)
    path = kept(cache) / id_cache.IDS
    os.truncate(path, 8)
    assert corpus.ids[:2].tolist() == [0, 1]
    for found in (corpus.ids, corpus.ids.renumbered(np.zeros(3))):
        for part in (slice(1, 3), slice(4, 5), slice(None)):
            message = error_of(lambda found=found, part=part: found[part])
            assert message == f"{path}: was cut short while it was in use"


def test_ids_that_cannot_be_read_are_an_error_that_names_the_file(ids, monkeypatch):
    def fail(*args):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "pread", fail)
    assert error_of(lambda: ids[:1]) == f"{ids.path}: cannot be read (Input/output error)"
