"""Files as other programs leave them, quirks and all: read as they mean it, or refused."""

import bz2
import gzip
import io
import json
import lzma
import os
import sys
import threading
import zipfile

import numpy as np
import pytest

import w2v_jax as w2v
from w2v_jax.types import UserError
from w2v_jax.vectors.io import FORMATS, load, save
from w2v_jax.vectors.word_vectors import WordVectors

AB = {"a": [1, 2], "b": [3, 4]}


def f4(*values):
    return np.array(values, "<f4").tobytes()


def read(path, content=None, **given):
    """Words with their rows, and the notes."""
    if content is not None:
        path.write_bytes(content)
    notes = []
    wv = load(path, note=notes.append, **given)
    assert len(notes) <= 1
    return dict(zip(wv.words, wv.vectors.tolist(), strict=True)), "".join(notes)


READ = {
    "word2vec's text": (b"2 2\na 1 2\nb 3 4\n", AB),
    "word2vec.c's blank at a row's end": (b"2 2\na 1 2 \nb 3 4 \n", AB),
    "GloVe's, without a header": (b"a 1 2\nb 3 4\n", AB),
    "a header of tabs, rows of tabs": (b"2\t2\na\t1\t2\nb\t3\t4\n", AB),
    "tabs without a header": (b"a\t1\t2\nb\t3\t4\n", AB),
    "a tab behind the word, blanks behind": (b"a\t1 2\nb\t3 4\n", AB),
    "CRLF": (b"2 2\r\na 1 2\r\nb 3 4\r\n", AB),
    "a byte-order mark": (b"\xef\xbb\xbf2 2\na 1 2\nb 3 4\n", AB),
    "a byte-order mark without a header": (b"\xef\xbb\xbfa 1 2\nb 3 4\n", AB),
    "blank lines": (b"\n2 2\n\na 1 2\n \nb 3 4\n\n\n", AB),
    "blank lines without a header": (b"\na 1 2\n\nb 3 4\n\n", AB),
    "no newline at the end": (b"2 2\na 1 2\nb 3 4", AB),
    "exponents, signs, bare points": (b"2 2\na 1e0 +2.\nb .3e1 4.0E+00\n", AB),
    "two blanks between": (b"2 2\na  1  2\nb  3  4\n", AB),
    "binary with newlines": (b"2 2\na " + f4(1, 2) + b"\nb " + f4(3, 4) + b"\n", AB),
    "binary without": (b"2 2\na " + f4(1, 2) + b"b " + f4(3, 4), AB),
    "binary, all bytes letters": (b"1 2\na abcdABCD\n", {"a": [1.6777999e22, 781.03521729]}),
    "words that are numbers": (b"7 1 2\n8 3 4\n9 5 6\n", {"7": [1, 2], "8": [3, 4], "9": [5, 6]}),
    "a word that holds blanks": (
        b"a 1 2\nat name@domain.com 3 4\n. . . 5 6\n",
        {"a": [1, 2], "at name@domain.com": [3, 4], ". . .": [5, 6]},
    ),
    "a word that holds blanks, first": (
        b"New York 1 2\na 3 4\nb 5 6\n",
        {"New York": [1, 2], "a": [3, 4], "b": [5, 6]},
    ),
    "blanks within, under a header": (
        b"2 2\nNew York 1 2\na 3 4\n",
        {"New York": [1, 2], "a": [3, 4]},
    ),
    "a no-break space within": (
        "2 2\n10\u00a0000 1 2\na 3 4\n".encode(),
        {"10\u00a0000": [1, 2], "a": [3, 4]},
    ),
    "one dimension": (b"2 1\na 1\nb 2\n", {"a": [1], "b": [2]}),
    "a line that lacks D, of GloVe": (b"a 1 2\n", {"a": [1, 2]}),
}


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("suffix", ["txt", "bin", "npz", "glove", "gz"])
def test_files_of_other_programs_are_read_whatever_they_are_called(tmp_path, name, suffix):
    content, expected = READ[name]
    if name == "binary, all bytes letters" and suffix != "bin":
        return  # nothing but its name tells it from text
    found, note = read(tmp_path / f"x.{suffix}", content)
    assert found.keys() == expected.keys() and list(found) == list(expected)
    for word, row in expected.items():
        np.testing.assert_allclose(found[word], row, rtol=1e-6)
    assert not note


LEFT_OUT = {
    "a word of white space": (
        "2 2\n\u00a0 9 9\na 1 2\nb 3 4\n",
        "2 rows announced, 3 there; 1 of 3 rows left out: 1 as line 2: the word '\\xa0' is white",
    ),
    "no word": (b"3 2\n 9 9\na 1 2\nb 3 4\n", "1 of 3 rows left out: 1 as line 2"),
    "a double word": (b"3 2\na 1 2\nb 3 4\na 9 9\n", "1 as line 4: the word 'a' occurs twice"),
    "a word cut within a letter": (
        b"3 2\na 1 2\n\xe6\x9c 9 9\nb 3 4\n",
        "1 as line 3: the word is not UTF-8",
    ),
    "too few values": (b"3 2\na 1 2\nc 9\nb 3 4\n", "1 as line 3: expected 2 values, found 1"),
    "too many values": (b"3 2\na 1 2\nc 9 9 9\nb 3 4\n", "1 as line 3: expected 2 values, found 3"),
    "too many, without a header": (
        b"a 1 2\nb 3 4\nc 9 9 9\n",
        "1 as line 3: expected 2 values, found 3",
    ),
    "no number": (b"3 2\na 1 2\nc 9 x\nb 3 4\n", "1 as line 3: a value is not a number"),
    "Python's own number": (
        b"3 2\na 1 2\nc 9 1_0\nb 3 4\n",
        "1 as line 3: a value is not a number",
    ),
    "no finite number": (b"3 2\na 1 2\nc nan 1\nb 3 4\n", "1 as line 3: a value is not finite"),
    "fewer than announced": (b"3 2\na 1 2\nb 3 4\n", "3 rows announced, 2 there"),
    "binary, fewer than announced": (
        b"3 2\na " + f4(1, 2) + b"\nb " + f4(3, 4) + b"\n",
        "3 rows announced, 2 there",
    ),
    "binary, a double word": (
        b"3 2\na " + f4(1, 2) + b"a " + f4(9, 9) + b"b " + f4(3, 4),
        "1 as row 2: the word 'a' occurs twice",
    ),
    "binary, not finite": (
        b"3 2\na " + f4(1, 2) + b"c " + f4(9, np.inf) + b"b " + f4(3, 4),
        "1 as row 2: a value is not finite",
    ),
    "binary, no UTF-8": (
        b"3 2\na " + f4(1, 2) + b"\xff " + f4(9, 9) + b"b " + f4(3, 4),
        "1 as row 2: the word is not UTF-8",
    ),
    "more than announced": (b"1 2\na 1 2\nb 3 4\n", "1 row announced, 2 there"),
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_rows_that_cannot_be_used_are_left_out_and_told_in_one_note(tmp_path, name):
    content, told = LEFT_OUT[name]
    content = content if isinstance(content, bytes) else content.encode()
    found, note = read(tmp_path / "x", content)
    assert found == AB
    assert note.startswith(f"{tmp_path / 'x'}: ") and told in note and "\n" not in note


def test_words_may_end_in_numbers_that_are_not_like_values(tmp_path):
    text = b"3 2\nroute 66 0.1 0.2\nwindows 95 0.3 0.4\nc 9.5 0.5 0.6\n"
    found, note = read(tmp_path / "x", text)
    assert list(found) == ["route 66", "windows 95"] and "found 3" in note


def test_a_last_number_that_may_be_cut_is_told(tmp_path):
    _, note = read(tmp_path / "x", b"a 0.1234 0.2345\nb 0.3456 0.4")
    assert "line 2: has no line end, and a short last number" in note
    assert not read(tmp_path / "x", b"a 0.1234 0.2345\nb 0.3456 0.4567")[1]


def test_lines_that_end_in_cr_alone_are_named(tmp_path):
    with pytest.raises(UserError, match="lines end in CR alone"):
        read(tmp_path / "x", b"2 2\ra 1 2\rb 3 4\r")


@pytest.mark.parametrize("dim", [1, 3, 10, 20])
@pytest.mark.parametrize("name", ["x.bin", "x"])
def test_words_that_are_numbers_come_back_from_binary(tmp_path, dim, name):
    rows = np.random.default_rng(dim).normal(size=(30, dim)).astype("f")
    wv = WordVectors(tuple(str(1700 + i) for i in range(30)), rows)
    FORMATS["binary"].save(tmp_path / name, wv)
    back = load(tmp_path / name)
    assert back.words == wv.words and back.vectors.tobytes() == wv.vectors.tobytes()


def test_what_is_packed_twice_is_named(tmp_path):
    with pytest.raises(UserError, match="is packed twice"):
        read(tmp_path / "x.zip", zipped(gzip.compress(b"a 1 2\n")))


def test_kinds_of_faults_are_counted_each(tmp_path):
    rows = "a 1 2\n\u00a0 1 2\na 3 4\nc 1\na 5 6\nb 3 4\n"
    found, note = read(tmp_path / "x", f"6 2\n{rows}".encode())
    assert found == AB
    assert note.endswith(
        "4 of 6 rows left out: 1 as line 3: the word '\\xa0' is white space; 2 as line 4: the word "
        "'a' occurs twice; 1 as line 5: expected 2 values, found 1"
    )


def test_a_file_that_is_mostly_unusable_is_refused(tmp_path):
    rows = "".join(f"w{i} 1\n" for i in range(101)) + "a 1 2\n"
    with pytest.raises(UserError, match="line 2: expected 2 values, found 1"):
        read(tmp_path / "x", f"102 2\n{rows}".encode())


PACKERS = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


def zipped(content, name="v.txt", **others):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
        for other, text in others.items():
            archive.writestr(other, text)
    return made.getvalue()


@pytest.mark.parametrize("packer", [*PACKERS, "zip"])
@pytest.mark.parametrize("name", ["word2vec's text", "GloVe's, without a header", "binary without"])
def test_packed_files_are_known_by_their_bytes(tmp_path, packer, name):
    pack = PACKERS.get(packer, zipped)
    assert read(tmp_path / "vectors.txt", pack(READ[name][0])) == (AB, "")


def test_a_zip_of_several_files_names_them_and_gives_each(tmp_path):
    path = tmp_path / "glove.zip"
    path.write_bytes(
        zipped(b"a 1\n", "d1.txt", **{"sub/d2.txt": "a 1 2\nb 3 4\n", "__MACOSX/x": ""})
    )
    with pytest.raises(
        UserError, match=r"name one of its files, as .*glove\.zip/NAME: d1\.txt, sub/d2"
    ):
        load(path)
    assert read(path / "sub" / "d2.txt") == (AB, "")
    with pytest.raises(UserError, match="its zip holds no such file"):
        load(path / "d3.txt")
    (tmp_path / "plain.txt").write_bytes(b"a 1\n")
    with pytest.raises(UserError, match="a zip archive that cannot be read"):
        load(tmp_path / "plain.txt" / "a.txt")


def test_a_zip_that_unpacks_to_absurd_sizes_is_refused(tmp_path):
    with pytest.raises(UserError, match="unpack"):
        read(tmp_path / "x.zip", zipped(b"a " + b"1 " * 40_000_000))


@pytest.mark.parametrize("name", ["word2vec's text", "binary without", "npz", "packed"])
def test_a_pipe_is_read(tmp_path, name):
    if name == "npz":
        save(tmp_path / "x.npz", WordVectors(("a", "b"), np.array([[1, 2], [3, 4]], "f")))
    content = {
        "npz": lambda: (tmp_path / "x.npz").read_bytes(),
        "packed": lambda: gzip.compress(READ["binary without"][0]),
    }.get(name, lambda: READ[name][0])()
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(content,))
    writer.start()
    found, _ = read(tmp_path / "pipe")
    writer.join()
    assert found == AB


@pytest.mark.parametrize("name", READ)
def test_a_limit_gives_the_first_rows(tmp_path, name):
    content, expected = READ[name]
    found, note = read(tmp_path / "x.bin", content, limit=1)
    assert list(found) == list(expected)[:1] and not note


def test_a_limit_counts_usable_rows_and_reads_no_further(tmp_path):
    text = b"4 2\n\xff 0 0\na 1 2\na 0 0\nb 3 4\n" + b"x" * 1000
    assert read(tmp_path / "x", text, limit=2)[0] == AB


def test_the_library_warns_where_it_was_called(tmp_path):
    (tmp_path / "x").write_bytes(b"3 2\na 1 2\nb 3 4\n")
    with pytest.warns(UserWarning, match="3 rows announced, 2 there") as caught:
        w2v.load(tmp_path / "x")
    assert caught[0].filename == __file__


# Formats that are written too

WV = WordVectors(
    ("the", "naïve", "木", "New York"),
    np.random.default_rng(0).normal(size=(4, 3)).astype("f"),
    counts=np.array([9, 5, 2, 1]),
)
COUNTED = {"npz", "safetensors", "parquet", "gensim"}
NEEDS = {"safetensors": "safetensors", "parquet": "pyarrow", "gensim": "gensim"}


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_saved_comes_back_bit_for_bit(tmp_path, name):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    wv = WV if name in COUNTED else WV.first(3)
    save(tmp_path / f"x{FORMATS[name].suffix}", wv)
    back = load(tmp_path / f"x{FORMATS[name].suffix}")
    assert back.words == wv.words and back.vectors.tobytes() == wv.vectors.tobytes()
    if name in COUNTED:
        assert back.counts.tolist() == wv.counts.tolist()
        few = load(tmp_path / f"x{FORMATS[name].suffix}", limit=2)
        assert few.words == wv.words[:2] and few.counts.tolist() == [9, 5]
    else:
        with pytest.raises(UserError, match="row 4: the word 'New York' holds white space"):
            save(tmp_path / f"y{FORMATS[name].suffix}", WV)


def test_a_model_card_lies_beside_safetensors_and_none_is_overwritten(tmp_path):
    pytest.importorskip("safetensors")
    save(tmp_path / "x.safetensors", WV)
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "4 words, D 3" in card and 'w2v.load("x.safetensors")' in card
    (tmp_path / "README.md").write_text("mine")
    save(tmp_path / "x.safetensors", WV)
    assert (tmp_path / "README.md").read_text() == "mine"
    header = (tmp_path / "x.safetensors").read_bytes()
    about = json.loads(header[8 : 8 + int.from_bytes(header[:8], "little")])
    assert about["vectors"]["shape"] == [4, 3] and about["vectors"]["dtype"] == "F32"


def test_parquet_has_a_column_each(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    save(tmp_path / "x.parquet", WV)
    table = parquet.read_table(tmp_path / "x.parquet")
    assert table.column_names == ["word", "count", "vector"]
    assert table.column("word").to_pylist() == list(WV.words)
    np.testing.assert_array_equal(np.array(table.column("vector").to_pylist(), "f"), WV.vectors)
    save(tmp_path / "x.parquet", WordVectors(WV.words, WV.vectors))
    assert parquet.read_table(tmp_path / "x.parquet").column("count").null_count == 4
    assert load(tmp_path / "x.parquet").counts is None


def test_parquets_rows_of_another_length_are_left_out(tmp_path):
    pyarrow, parquet = map(pytest.importorskip, ("pyarrow", "pyarrow.parquet"))
    rows = [[1.0, 2.0], [3.0], [1.0, 2.0, 3.0], None, [3.0, 4.0]]
    words = ["a", "short", "long", "null", "b"]
    table = pyarrow.table(
        {"word": words, "vector": pyarrow.array(rows, pyarrow.list_(pyarrow.float32()))}
    )
    parquet.write_table(table, tmp_path / "x")
    found, note = read(tmp_path / "x")
    assert found == AB and "3 of 5 rows left out: 3 as row 2: no word with 2 values" in note


@pytest.mark.parametrize("name", NEEDS)
def test_a_package_that_is_missing_is_named(tmp_path, name, monkeypatch):
    for module in (NEEDS[name], f"{NEEDS[name]}.models"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=f"needs {NEEDS[name]}: pip install"):
        save(tmp_path / f"x{FORMATS[name].suffix}", WV)


def test_gensim_loads_ours_and_we_its_vectors_and_models(tmp_path):
    models = pytest.importorskip("gensim.models")
    save(tmp_path / "x.kv", WV)
    theirs = models.KeyedVectors.load(str(tmp_path / "x.kv"))
    assert theirs.index_to_key == list(WV.words) and theirs.get_vecattr("the", "count") == 9
    np.testing.assert_array_equal(theirs.vectors, WV.vectors)
    model = models.Word2Vec([["a", "b", "c"]] * 9, vector_size=4, min_count=1)
    for protocol in (2, 3, 4, 5):
        model.wv.save(str(tmp_path / "protocol"), pickle_protocol=protocol)
        np.testing.assert_array_equal(load(tmp_path / "protocol").vectors, model.wv.vectors)
    for saved, name in ((model, "model"), (model.wv, "kv")):
        saved.save(str(tmp_path / name), sep_limit=1)  # each table in a file of its own
        assert (tmp_path / f"{name}.{'wv.' * (name == 'model')}vectors.npy").exists()
        saved.save(str(tmp_path / f"whole.{name}"))
        for path in (tmp_path / name, tmp_path / f"whole.{name}"):
            back = load(path)
            assert list(back.words) == model.wv.index_to_key
            np.testing.assert_array_equal(back.vectors, model.wv.vectors)
            assert back.counts.tolist() == [9, 9, 9]
    (tmp_path / "kv.vectors.npy").unlink()
    with pytest.raises(UserError, match="beside it is no"):
        load(tmp_path / "kv")
    models.FastText([["a", "b"]] * 9, vector_size=4, min_count=1, bucket=9).save(
        str(tmp_path / "f")
    )
    with pytest.raises(UserError, match="FastText"):
        load(tmp_path / "f")
