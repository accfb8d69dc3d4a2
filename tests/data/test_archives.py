"""Texts in folders and archives: all of them, in an order, and nothing left out in silence."""

import gzip
import os
import random
import sys
import zipfile
from hashlib import sha256

import pytest
import zstandard

import w2v_jax as w2v
from w2v_jax.data import preparation, sources
from w2v_jax.data.corpus import Corpus
from w2v_jax.types import UserError


def lines_of(*paths, how=preparation.PLAIN):
    found = sources.locate("", corpus=",".join(map(str, paths))).paths
    return [line for line in sources.read_lines(found, sha256(), how=how) if line]


def words_of(corpus):
    return [corpus.vocab.words[i] for i in corpus.ids[:]]


@pytest.fixture
def texts(tmp_path):
    """A folder with texts of several kinds: plain, packed, in a zip, in a folder below, hidden."""
    folder = tmp_path / "texts"
    (folder / "below").mkdir(parents=True)
    (folder / "a.txt").write_text("a1 a2\n")
    (folder / "b.txt.gz").write_bytes(gzip.compress(b"b1 b2"))
    (folder / "below" / "d.zst").write_bytes(zstandard.compress(b"d1\n") * 2)
    (folder / ".hidden").write_text("hidden\n")
    with zipfile.ZipFile(folder / "c.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("two.txt", "c3\n")
        archive.writestr("one.txt.gz", gzip.compress(b"c1 c2\n"))
        archive.writestr("deep/", "")
        archive.writestr("__MACOSX/._two.txt", b"\0" * 64)
        archive.writestr(".DS_Store", b"\0" * 64)
    return folder


def test_a_folder_is_all_the_texts_in_it(texts):
    expected = [["a1", "a2"], ["b1", "b2"], ["d1"], ["d1"], ["c1", "c2"], ["c3"]]
    assert lines_of(texts) == expected
    corpus = Corpus.from_files(texts, 1)
    words = [word for line in expected for word in line]
    assert words_of(corpus) == words
    assert words_of(Corpus.from_files(texts, 1)) == words


def test_a_folder_leaves_nothing_out_in_silence(texts, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x.txt").write_text("x1\n")
    (texts / "linked").symlink_to(tmp_path / "other")
    (texts / "below" / "loop").symlink_to(texts)
    assert ["x1"] in lines_of(texts) and len(lines_of(texts)) == 7
    (texts / "broken").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"broken: a link to .*nowhere, which is not there"):
        lines_of(texts)
    (texts / "broken").unlink()
    os.mkfifo(texts / "pipe")  # it would wait for ever
    assert len(lines_of(texts)) == 7


def test_a_locked_folder_is_named(texts, monkeypatch):
    own = os.scandir

    def scandir(path):
        if str(path).endswith("below"):
            raise PermissionError(13, "Permission denied", str(path))
        return own(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(UserError, match=r"below: cannot be read \(Permission denied\)"):
        lines_of(texts)


@pytest.mark.parametrize("name", ["./a.txt", "/a.txt", "d//a.txt", "../a.txt", "./.././a.txt"])
def test_a_zips_files_are_read_however_they_are_named(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(name, "a b\n")
        archive.writestr("./.hidden", "no\n")
    assert lines_of(tmp_path / "x.zip") == [["a", "b"]]


def test_a_zip_with_a_damaged_name_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("café.txt", "a b\n")
    data = (tmp_path / "x.zip").read_bytes().replace("café".encode(), b"caf\xe9x")
    (tmp_path / "x.zip").write_bytes(data)
    for read in (lines_of, w2v.load):
        with pytest.raises(UserError, match="is a zip archive that cannot be read"):
            read(tmp_path / "x.zip")


def test_zstd_of_a_long_window_and_with_frames_to_pass_over(tmp_path):
    text = b"a b\n" * 9
    parameters = zstandard.ZstdCompressionParameters(window_log=30)
    packed = zstandard.ZstdCompressor(compression_params=parameters).compressobj().compress(text)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    packed = compressor.compress(text) + compressor.flush()
    (tmp_path / "long").write_bytes(packed)
    assert len(lines_of(tmp_path / "long")) == 9
    skipped = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"abcd"
    (tmp_path / "skip").write_bytes(skipped + zstandard.compress(text))
    assert len(lines_of(tmp_path / "skip")) == 9


def test_a_file_of_a_zip_has_a_name(texts):
    assert lines_of(texts / "c.zip") == [["c1", "c2"], ["c3"]]
    assert lines_of(texts / "c.zip" / "two.txt") == [["c3"]]
    with pytest.raises(UserError, match=r"c.zip/no.txt: its zip holds no such file: two.txt"):
        lines_of(texts / "c.zip" / "no.txt")


def test_a_zip_that_changes_is_read_anew(texts):
    before = words_of(Corpus.from_files(texts / "c.zip", 1))
    with zipfile.ZipFile(texts / "c.zip", "a") as archive:
        archive.writestr("zzz.txt", "new\n")
    assert words_of(Corpus.from_files(texts / "c.zip", 1)) == [*before, "new"]


def test_zstd_that_is_cut_short_or_damaged_is_refused(tmp_path):
    rng = random.Random(1)
    text = "\n".join(str(rng.random()) for _ in range(2000)).encode()
    packed = zstandard.ZstdCompressor(write_checksum=True).compress(text)
    (tmp_path / "x.zst").write_bytes(packed)
    assert len(lines_of(tmp_path / "x.zst")) == 2000
    for name, data in (("cut", packed[:-9]), ("bad", packed[:2000] + b"\0" * 99 + packed[2099:])):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UserError, match=f"{name}: cannot be read"):
            lines_of(tmp_path / name)


def test_zstd_says_what_it_needs(tmp_path, monkeypatch):
    (tmp_path / "x.zst").write_bytes(zstandard.compress(b"a b\n"))
    monkeypatch.setitem(sys.modules, "zstandard", None)
    monkeypatch.setattr("w2v_jax.data.zstd.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"x.zst: is packed by zstd: pip install zstandard"):
        lines_of(tmp_path / "x.zst")


def test_an_encrypted_zip_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.txt", "a b\n")
    data = bytearray((tmp_path / "x.zip").read_bytes())
    for magic, shift in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(magic) + shift] |= 1
    (tmp_path / "x.zip").write_bytes(data)
    with pytest.raises(UserError, match=r"a zip archive that cannot be read: .*encrypted"):
        lines_of(tmp_path / "x.zip")
