"""Files are known by what they hold: read whatever they are called, or named with what to do."""

import bz2
import gzip
import io
import lzma
import os
import pickle
import tarfile
import threading
import zipfile
from hashlib import sha256

import numpy as np
import pytest
import zstandard

from w2v_jax.data import loader
from w2v_jax.data.kinds import likely_encoding
from w2v_jax.data.sources import Source, read_lines
from w2v_jax.types import UserError
from w2v_jax.vectors import evaluation
from w2v_jax.vectors import io as vectors_io
from w2v_jax.vectors.word_vectors import WordVectors

WV = WordVectors(
    tuple(f"w{i}" for i in range(40)), np.random.default_rng(0).normal(size=(40, 8)).astype("f")
)
TEXT = "one two\nthree naïve\n".encode()
WORDS = [["one", "two"], ["three", "naïve"]]


def zipped(data=None):
    with zipfile.ZipFile(file := io.BytesIO(), "w") as archive:
        archive.writestr("a.txt", TEXT if data is None else data)
    return file.getvalue()


PACK = {
    **{"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zip": zipped},
    "zst": zstandard.compress,
}


def tarred():
    with tarfile.open(fileobj=(file := io.BytesIO()), mode="w") as archive:
        about = tarfile.TarInfo("a.txt")
        about.size = len(TEXT)
        archive.addfile(about, io.BytesIO(TEXT))
    return file.getvalue()


FOREIGN = {
    "tar": (tarred(), "tar archive"),
    "tar.gz": (gzip.compress(tarred()), "tar archive"),
    "cut zip": (zipped()[:-4], "is a zip archive that cannot be read"),
    "lz4": (b"\x04\x22\x4d\x18\x04\x00", "lz4 -d"),
    "pickle": (pickle.dumps({"a": 1}), "a Python pickle"),
    "fasttext": (b"\xba\x16\x4f\x2f\x0c\0\0\0", "a fastText model"),
    "utf16": ("one two\n".encode("utf-16"), "iconv -f UTF-16 "),
    "utf16le": ("one two three\n".encode("utf-16-le"), "iconv -f UTF-16LE "),
    "utf32": ("one two\n".encode("utf-32"), "iconv -f UTF-32 "),
    "pdf": (b"%PDF-1.7\n", "pdftotext"),
    "7z": (b"7z\xbc\xaf\x27\x1c\0\4", "7z x"),
    "hdf5": (b"\x89HDF\r\n\x1a\n\0", "an HDF5 file"),
    "parquet": (b"PAR1\x15\x04", "a Parquet file"),
}
READERS = {
    "lines": lambda path: list(read_lines([path], sha256())),
    "ingest": lambda path: loader.load(Source("files", (path,), ""), cache_dir="none"),
    "vectors": vectors_io.load,
    "pairs": lambda path: list(evaluation.word_pairs(WV, path)),
    "analogies": lambda path: list(evaluation.analogies(WV, path)),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_no_text_is_named_with_what_to_do(tmp_path, kind, reader):
    content, said = FOREIGN[kind]
    if (kind, reader) == ("fasttext", "vectors"):  # which are read
        said = "cut short"
    path = tmp_path / "x.txt"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        READERS[reader](str(path))
    line = str(caught.value)
    assert line.startswith(f"{path}: ") and said in line and len(line.splitlines()) == 1


@pytest.mark.parametrize("reader", ["vectors", "pairs", "analogies"])
def test_a_web_page_is_named(tmp_path, reader):
    (tmp_path / "x.txt").write_bytes(b"\n<!DOCTYPE html><html><body>404</body></html>\n")
    with pytest.raises(UserError, match="is a web page"):
        READERS[reader](str(tmp_path / "x.txt"))


@pytest.mark.parametrize("name", ["x.txt", "x", "x.gz", "x.xz"])
@pytest.mark.parametrize("kind", [*PACK, "plain"])
def test_text_is_unpacked_by_what_it_holds(tmp_path, kind, name):
    (tmp_path / name).write_bytes(PACK.get(kind, bytes)(TEXT))
    assert READERS["lines"](str(tmp_path / name)) == WORDS
    assert READERS["ingest"](str(tmp_path / name)).words == 4


@pytest.mark.parametrize("name", ["x.bin", "x.txt", "x.vec", "x", "x.model"])
@pytest.mark.parametrize("pack", [*PACK, "plain"])
@pytest.mark.parametrize("format_", ["text", "binary", "npz"])
def test_vectors_are_read_by_what_the_file_holds(tmp_path, format_, pack, name):
    path = tmp_path / name
    vectors_io.FORMATS[format_].save(path, WV)
    path.write_bytes(PACK.get(pack, bytes)(path.read_bytes()))
    read = vectors_io.load(path)
    assert read.words == WV.words and (read.vectors == WV.vectors).all()


def test_big_endian_numbers_are_read_right(tmp_path):
    path = tmp_path / "x.bin"
    rows = zip(WV.words, WV.vectors.astype(">f4"), strict=True)
    path.write_bytes(b"40 8\n" + b"".join(w.encode() + b" " + v.tobytes() + b"\n" for w, v in rows))
    assert (vectors_io.load(path).vectors == WV.vectors).all()


SAMPLES = {
    "EUC-JP": "これは日本語の文章です。猫が好きです",
    "SHIFT_JIS": "これは日本語の文章です。猫が好きです",
    "EUC-KR": "나는 고양이를 좋아합니다 한국어 문장",
    "GB18030": "我们的国家是一个很大的地方 中文句子",
    "BIG5": "我們的國家是一個很大的地方 中文句子",
    "WINDOWS-1251": "Это предложение на русском языке",
    "KOI8-R": "Это предложение на русском языке",
    "WINDOWS-1252": "Die Straße ist schön, café naïve",
    "ISO-8859-2": "Zażółć gęślą jaźń książka",
}


@pytest.mark.parametrize("encoding", SAMPLES)
def test_the_likely_encoding_is_named(tmp_path, encoding):
    content = SAMPLES[encoding].encode(encoding.replace("WINDOWS-", "cp"))
    assert likely_encoding(content) == encoding
    (tmp_path / "x.txt").write_bytes(content)
    for reader in ("lines", "ingest", "pairs", "analogies"):
        # Of a text the encoding can be named, too.
        flag = f"`encoding={encoding}`, or " * (reader == "ingest")
        with pytest.raises(UserError, match=f"probably {encoding}: {flag}`iconv -f {encoding} "):
            READERS[reader](str(tmp_path / "x.txt"))


@pytest.mark.parametrize("kind", [*PACK, "plain"])
def test_every_reader_reads_pipes(tmp_path, kind):
    pairs = b"w1 w2 3\nw3 w4 1\nw5 w6 2\n"
    questions = b": s\nw1 w2 w3 w4\n"
    (tmp_path / "saved.txt").touch()
    vectors_io.save(tmp_path / "saved.npz", WV)
    for reader, content in (
        ("lines", TEXT),
        ("vectors", (tmp_path / "saved.npz").read_bytes()),
        ("pairs", pairs),
        ("analogies", questions),
    ):
        path = tmp_path / reader
        os.mkfifo(path)
        packed = PACK.get(kind, bytes)(content)
        thread = threading.Thread(target=path.write_bytes, args=(packed,), daemon=True)
        thread.start()
        assert READERS[reader](str(path))
        thread.join()
