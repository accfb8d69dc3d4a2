"""Texts, vocabularies, word pairs, analogies and caches from anywhere; 5,300 cases drawn.

Each is read as documented or refused in a line. W2V_JAX_FUZZ=N draws N times as many.
"""

import bz2
import gzip
import lzma
import os
import threading
from hashlib import sha256
from types import SimpleNamespace

import numpy as np
import pytest
from fuzzing import BYTES, EDITS, TEXT, cases, drawn, one_line, tampered
from hypothesis import example, given
from hypothesis import strategies as st

from experiments.runs import fingerprint, rundir
from w2v_jax.data import id_cache, kinds, loader, sources, vocab
from w2v_jax.data.sources import Source, read_chunks, read_lines
from w2v_jax.types import UserError, Vocab
from w2v_jax.vectors import evaluation, judgements
from w2v_jax.vectors.word_vectors import WordVectors

PACKERS = {".gz": gzip, ".bz2": bz2, ".xz": lzma}
BOM = "\ufeff".encode()


def test_so_many_cases_are_drawn():
    assert drawn[__name__] == 5300


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        for module in (sources, id_cache):
            patch.setattr(module.os, "fsync", lambda descriptor: None)  # would take long
        yield tmp_path_factory.mktemp("text")


def written(path, content):
    path.write_bytes(content)
    return path


def expected(content: bytes) -> list[list[str]]:
    """The words of each line, by Python's own functions. Raises UnicodeDecodeError."""
    text = content.decode().removeprefix("\ufeff")
    lines = text.split("\n")
    return [line.split() for line in (lines if lines[-1] else lines[:-1])]


def not_text(content: bytes) -> bool:
    return bool(kinds.foreign(content) or kinds.packing(content) or content.count(0) >= 32)


def refusal_or(read, path):
    """What `read` gives, or None where it refuses the file in a line that names it."""
    try:
        return read()
    except UserError as error:
        assert str(path) in one_line(error)
        return None


@cases(1000)
@given(BYTES)
@example(BOM)
@example(b"a\xc2\x85b\xe2\x80\xa8c\x1cd\xc2\xa0e\0f\r\n\n g")
@pytest.mark.slow
def test_lines_are_what_split_gives_or_the_byte_at_fault_is_named(folder, content):
    path = written(folder / "lines.txt", content)
    digest = sha256()
    try:
        lines = list(read_lines([str(path)], digest))
    except UserError as error:
        if not_text(content):
            return
        line, byte = one_line(error).split("line ")[1].split(", byte ")
        before = b"\n".join(content.split(b"\n")[: int(line) - 1])
        offset = len(before) + (int(line) > 1) + int(byte.split(":")[0]) - 1
        content[:offset].decode()  # all before it is text
        with pytest.raises(UnicodeDecodeError):
            content.split(b"\n")[int(line) - 1].decode()
    else:
        assert [line for line in lines if line] == [line for line in expected(content) if line]
        assert digest.digest() == sha256(content).digest()


@cases(400)
@given(BYTES, st.integers(1, 20))
def test_chunks_are_the_file_cut_at_white_space(folder, content, size):
    path = written(folder / "chunks.txt", content)
    chunks = refusal_or(lambda: list(read_chunks([str(path)], size)), path)
    if chunks is None:
        assert not_text(content)
        return
    assert b"".join(chunk.data for chunk in chunks) == content
    assert [chunk.first for chunk in chunks] == [True] + [False] * (len(chunks) - 1)
    assert [chunk.last for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert all(chunk.data[-1:] in (b" ", b"\n", b"\t", b"\r") for chunk in chunks[:-1])
    assert chunks[-1].open_line == (content[-1:] not in (b"", b"\n"))


@cases(600)
@given(st.sampled_from(list(PACKERS)), EDITS)
@pytest.mark.slow
def test_archives_that_were_tampered_with_are_read_or_refused(folder, suffix, edits):
    packed = PACKERS[suffix].compress("one two\nthree naïve\n".encode() * 3)
    path = written(folder / f"text{suffix}", tampered(packed, edits))
    lines = refusal_or(lambda: list(read_lines([str(path)], sha256())), path)
    assert lines is None or all(word.split() == [word] for line in lines for word in line)
    chunks = refusal_or(lambda: list(read_chunks([str(path)], 8)), path)
    assert chunks is not None or lines is None


@pytest.mark.parametrize("suffix", PACKERS)
def test_an_archive_cut_anywhere_is_refused(tmp_path, suffix):
    draws = np.random.default_rng(0).integers(97, 123, 3000).astype(np.uint8).tobytes()
    packed = PACKERS[suffix].compress(draws)
    for end in range(1, len(packed), 37):
        path = written(tmp_path / f"cut{suffix}", packed[:end])
        for read in (
            lambda p: list(read_lines([p], sha256())),
            lambda p: list(read_chunks([p], 64)),
        ):
            with pytest.raises(UserError, match="cannot be read"):
                read(str(path))


@cases(120)
@given(BYTES, st.booleans(), st.sampled_from(["keep", "drop"]))
@example(b"a" * 50 + b"\r\na\r\n", False, "keep")
@example(b"a a a", True, "drop")
def test_a_text_becomes_ids_of_its_words_or_is_refused(folder, content, eos, unk):
    path = written(folder / "ids.txt", content)
    source = Source("files", (str(path),), "")
    read = refusal_or(lambda: loader.load(source, cache_dir="none", eos=eos, unk=unk), path)
    if read is None:
        return
    ids, words = np.asarray(read.ids[:]), read.vocab.words
    lines = [
        [word for word in line if unk == "keep" or word != "<unk>"] for line in expected(content)
    ]
    counts = np.bincount(ids, minlength=len(words))
    assert len(set(words)) == len(words) and (counts == read.vocab.counts).all()
    assert counts.min() > 0 and (np.diff(counts) <= 0).all()
    if not eos:
        assert [words[i] for i in ids.tolist()] == [word for line in lines for word in line]
        assert np.diff(read.line_ends, prepend=0).tolist() == [len(line) for line in lines if line]


@cases(120)
@given(st.sampled_from(["ids.i4", "line_ends.i8", "counts.i8", "words", "header"]), EDITS)
def test_a_damaged_cache_is_told_of_and_made_anew(folder, name, edits):
    path, cache = folder / "cached.txt", folder / "cache"
    if not path.exists():
        path.write_text("the cat\nsat on the mat\n" * 20)
    source, notes = Source("files", (str(path),), ""), []
    first = loader.load(source, cache_dir=str(cache))
    ids, ends = first.ids[:].copy(), first.line_ends.copy()
    (damaged,) = cache.glob(f"corpora/*/{name}")
    content = damaged.read_bytes()
    damaged.write_bytes(tampered(content, edits))
    again = loader.load(source, cache_dir=str(cache), note=notes.append)
    assert again.vocab.words == first.vocab.words and again.words == first.words == 120
    assert (again.vocab.counts == first.vocab.counts).all()
    assert (again.ids[:] == ids).all() and (again.line_ends == ends).all()
    assert len(notes) == (damaged.read_bytes() != tampered(content, edits))


COUNTS = "the\t90\nnaïve\t7\n木\t7\n<unk>\t1\n".encode()


@cases(700)
@given(EDITS)
@pytest.mark.slow
def test_counts_that_were_tampered_with_are_read_or_refused(folder, edits):
    path = written(folder / "vocab.tsv", tampered(COUNTS, edits))
    read = refusal_or(lambda: vocab.load_counts(str(path)), path)
    if read is not None:
        assert len(read.words) == len(set(read.words)) == len(read.counts)
        assert (read.counts >= 0).all() and (np.diff(read.counts) <= 0).all()
        assert all(word.split() == [word] for word in read.words)


@cases(300)
@given(TEXT)
def test_counts_of_any_words_come_back(folder, text):
    words = list(dict.fromkeys(text.split()))
    made = Vocab(tuple(words), np.arange(len(words), 0, -1))
    vocab.save_counts(str(folder / "back.tsv"), made)
    back = vocab.load_counts(str(folder / "back.tsv"))
    assert back.words == made.words and (back.counts == made.counts).all()


WV = WordVectors(("the", "cat", "Naïve", "木"), np.eye(4, 3, dtype=np.float32) + np.float32(0.5))
PAIRS = [
    "# people\nthe\tcat\t7.5\nnaïve\t木\t-1e-3\nthe\tdog\t0\n".encode(),
    b"the,cat,1\ncat,the,2\n",
    b"\xef\xbb\xbfthe cat 1\r\ncat the 2\r\n",
]


def check_pairs(path):
    people, cosines = evaluation.pair_items(WV, path)
    assert people.shape == cosines.shape and len(people) and np.isfinite(people).all()
    known = cosines[~np.isnan(cosines)]
    assert (np.abs(known) <= 1 + 1e-9).all()
    for measure in evaluation.word_pairs(WV, path, "own", cosines):
        assert measure.value is None or abs(measure.value) <= 1 + 1e-9
        assert measure.covered == len(known) <= measure.total == len(people)
    return True


@cases(900)
@given(st.integers(0, 3), BYTES, EDITS)
@pytest.mark.slow
def test_word_pairs_are_read_or_refused(folder, which, content, edits):
    content = content if which == 3 else tampered(PAIRS[which], edits)
    path = written(folder / "pairs.txt", content)
    refusal_or(lambda: check_pairs(path), path)


ANALOGIES = ": one\nthe cat the dog\nThe cat NAÏVE 木\n: two\na b c d\n".encode()


@cases(800)
@given(st.booleans(), BYTES, EDITS)
@pytest.mark.slow
def test_analogies_are_read_or_refused(folder, whole, content, edits):
    content = b": x\n" + content if whole else tampered(ANALOGIES, edits)
    path = written(folder / "analogies.txt", content)
    read = refusal_or(lambda: judgements.analogies(path), path)
    if read is not None:
        sections, items = read
        assert len(set(sections)) == len(sections) and items
        assert all(0 <= item.section < len(sections) and item.answers for item in items)
        words = {word for item in items for word in (item.a, item.b, item.c, *item.answers)}
        assert all(word.split() == [word] for word in words)


@cases(60)
@given(EDITS)
def test_analogies_are_answered_or_refused(folder, edits):
    path = written(folder / "answered.txt", tampered(ANALOGIES, edits))
    measures = refusal_or(lambda: list(evaluation.analogies(WV, path, "own")), path)
    if measures is not None:
        assert sum(m.total for m in measures[:-1]) <= measures[-1].total > 0
        assert all(m.value is None or 0 <= m.value <= 1 for m in measures)


def refused(read) -> str:
    with pytest.raises(UserError) as caught:
        read()
    return one_line(caught.value)


@pytest.mark.parametrize(
    ("read", "of_a_folder"),
    [
        (lambda p: list(evaluation.word_pairs(WV, p)), "is a folder"),
        (lambda p: evaluation.analogy_items(WV, p), "holds no .txt file"),
    ],
)
def test_pairs_and_analogies_come_from_regular_files(tmp_path, read, of_a_folder):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name, said in (
        ("zero", "is a device"),
        ("loop", "symbolic links"),
        (".", of_a_folder),
        ("none", "No such file"),
        ("nul\0", "null"),
    ):
        assert said in refused(lambda name=name: read(tmp_path / name))
    assert "no " in refused(lambda: read(written(tmp_path / "empty", b"")))


def test_the_line_that_is_not_utf8_is_counted_behind_a_byte_order_mark(tmp_path):
    path = written(tmp_path / "p.txt", BOM + b"\n\n\n\n\xff")
    assert refused(lambda: list(evaluation.word_pairs(WV, path))).startswith(
        f"{path}: line 5: not UTF-8"
    )


@pytest.mark.slow
def test_a_line_of_ten_megabytes_is_a_line(tmp_path):
    for content in (b"ab " * 3_500_000, b"a" * 200_000 + b" b"):
        path = written(tmp_path / "long.txt", content)
        read = loader.load(Source("files", (str(path),), ""), cache_dir="none")
        assert read.words == len(content.split()) and len(read.line_ends) == 1
        assert read.vocab.words == tuple(dict.fromkeys(content.decode().split()))


def test_a_corpus_may_come_through_a_pipe(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    thread = threading.Thread(target=path.write_bytes, args=(b"a b\nb\n",))
    thread.start()
    read = loader.load(Source("files", (str(path),), ""), cache_dir=str(tmp_path / "cache"))
    thread.join()
    assert read.vocab.words == ("b", "a")


@pytest.mark.parametrize("name", ["loop", "nowhere", "folder", "empty"])
def test_a_corpus_that_is_no_text_is_refused(tmp_path, name):
    path = tmp_path / name
    made = SimpleNamespace(
        loop=lambda: path.symlink_to(path),
        nowhere=lambda: path.symlink_to(tmp_path / "none"),
        folder=lambda: path.symlink_to(tmp_path),
        empty=path.touch,
    )
    getattr(made, name)()
    line = refused(lambda: loader.load(sources.locate("ptb", corpus=str(path)), cache_dir="none"))
    assert str(path) in line


def test_what_has_no_end_is_refused(tmp_path):
    assert "is a device" in refused(
        lambda: loader.load(Source("files", ("/dev/zero",), ""), cache_dir="none")
    )
    path = tmp_path / "bomb.bz2"
    path.write_bytes(bz2.compress(b"a" * 10_000_000))
    assert f"{path}: has a word of over" in refused(
        lambda: loader.load(Source("files", (str(path),), ""), cache_dir="none")
    )


def test_folders_that_hold_themselves_are_gone_through_once(tmp_path):
    (tmp_path / "below").mkdir()
    (tmp_path / ".hidden").mkdir()
    for name in ("a.txt", "below/b.txt", ".hidden/c.txt"):
        (tmp_path / name).write_text(name)
    for name in ("one", "two"):
        (tmp_path / name).symlink_to(tmp_path)
    found = sources.locate("ptb", corpus=f"{tmp_path}/**/*.txt").paths
    assert found == (str(tmp_path / "a.txt"), str(tmp_path / "below" / "b.txt"))
    assert sources.locate("ptb", corpus=f"{tmp_path}/.hidden/**/*.txt").paths
    assert "no such file" in refused(lambda: sources.locate("ptb", corpus=f"{tmp_path}/**/*.gz"))


RUN = (
    b'{"format": 2, "identity": {"flags": {"dim": "4", "seed": "1"}, "corpus_sha256": "ab", '
    b'"vocab_sha256": "cd", "began_sha256": ""}}\n'
)


@cases(300)
@given(BYTES, EDITS, st.booleans())
def test_what_says_which_run_a_folder_holds_is_read_or_refused(folder, content, edits, whole):
    out = folder / "out"
    out.mkdir(exist_ok=True)
    path = written(out / "run.json", tampered(RUN, edits) if whole else content)
    there = refusal_or(lambda: rundir.check(out, False, True), path)
    if there is not None:
        here = {"flags": {"dim": "4", "seed": "1"}, "corpus_sha256": "ab", "vocab_sha256": "cd"}
        refusal_or(lambda: fingerprint.check(out, there, here), out)
