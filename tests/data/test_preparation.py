"""Texts as they lie about: in any encoding, case and punctuation, in folders and archives."""

import gzip
import io
import json
import random
import zipfile
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripts import QUICK, start

import w2v_jax as w2v
from w2v_jax.data import preparation, sources
from w2v_jax.data.corpus import Corpus
from w2v_jax.data.preparation import Preparation, prepared
from w2v_jax.types import UserError

SIMPLE = Preparation(tokens="simple")


def lines_of(*paths, how=preparation.PLAIN):
    found = sources.locate("", corpus=",".join(map(str, paths))).paths
    return [line for line in sources.read_lines(found, sha256(), how=how) if line]


def words_of(corpus):
    return [corpus.vocab.words[i] for i in corpus.ids[:]]


# What a word is


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello, World! (again)", "Hello World again"),
        ("It's the 'dogs' bone—e.g. this", "It's the dogs bone e g this"),
        ("O’Brien ’s rock ’n’ roll''s", "O'Brien s rock n roll s"),
        ("new_york 3.14 x2", "new_york 3 14 x2"),
        ("a <unk> b<c> N $ %", "a <unk> b c N"),
        ("नमस्ते दुनिया। cafe\u0301 می\u200cخواهم", "नमस्ते दुनिया cafe\u0301 می\u200cخواهم"),
        ("日本語。猫、犬", "日本語 猫 犬"),
        ("''' -- ''", ""),
        ("I ❤\ufe0f you 👨\u200d👩\u200d👧 co\u00adoperate", "I you cooperate"),
    ],
)
def test_simple_tokens_are_words_without_punctuation(text, words):
    assert SIMPLE.words(text).split() == words.split()


def slowly(text):
    """Simple tokens letter by letter: runs of letters, with apostrophes between two of them."""
    import unicodedata

    text = text.replace("’", "'").replace("<unk>", "\ufdd0")

    def is_letter(c):
        return c.isalnum() or c in "_\ufdd0"

    def is_mark(c):
        return unicodedata.category(c)[0] == "M" or c in "\u200c\u200d"

    found, word = [], ""
    for i, c in enumerate(text):
        after = text[i + 1 : i + 2]
        inner = c == "'" and word and after and (is_letter(after) or is_mark(after))
        if is_letter(c) or (is_mark(c) and word) or (inner and word[-1] != "'"):
            word += c
        elif word:
            found.append(word)
            word = ""
    return [w.replace("\ufdd0", "<unk>") for w in [*found, word] if w]


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.sampled_from("ab'’ .,-_<unk>é\u0301न्9\n\t“”"), max_size=40))
def test_simple_tokens_letter_by_letter(text):
    assert SIMPLE.words(text).split() == slowly(text)
    assert SIMPLE.words(text).count("\n") == text.count("\n")


@pytest.mark.parametrize("how", [Preparation(True), SIMPLE, Preparation(True, "simple")])
def test_blocks_make_no_difference(monkeypatch, how):
    rng = random.Random(0)
    text = "".join(rng.choice("ΑΣaé'’ .\n") for _ in range(3000))
    whole = how.words(text)
    for size in (1, 2, 7, 1 << 20):
        monkeypatch.setattr(preparation, "_BLOCK", size)
        file = io.BufferedReader(io.BytesIO(text.encode()))
        assert prepared(file, how, "x").read().decode().split() == whole.split()


# Encodings


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "cp1251", "koi8-r", "utf-8-sig"])
def test_a_text_in_another_encoding_is_the_same_text(tmp_path, encoding):
    text = "Это предложение\nна русском языке\n" * 3
    (tmp_path / "plain.txt").write_text(text, encoding="utf-8")
    (tmp_path / "other.txt").write_bytes(text.encode(encoding))
    one = Corpus.from_files(tmp_path / "plain.txt", 1, lower=True)
    other = Corpus.from_files(tmp_path / "other.txt", 1, lower=True, encoding=encoding)
    assert words_of(one) == words_of(other) and one.sha256 == other.sha256
    assert "это" in one.vocab.words
    again = Corpus.from_files(tmp_path / "other.txt", 1, lower=True, encoding=encoding)
    assert words_of(again) == words_of(other)  # from the cache


@pytest.mark.parametrize("name", ["UTF8", "utf_8", "U8"])
def test_an_encoding_has_one_name(tmp_path, name):
    (tmp_path / "x.txt").write_text("a b\n" * 9)
    corpus = Corpus.from_files(tmp_path / "x.txt", 1, encoding=name)
    assert corpus.settings.encoding == w2v.Config(encoding=name).encoding == "utf-8"
    w2v.train(corpus, min_count=1, encoding="utf-8", dim=2, epochs=1, progress=False)


def test_utf16_without_its_mark_is_refused(tmp_path):
    (tmp_path / "x.txt").write_bytes(b"a b\nc d\n")
    with pytest.raises(UserError, match="line 1: not utf-16"):
        lines_of(tmp_path / "x.txt", how=Preparation(encoding="utf-16"))


def test_nuls_are_no_letters_of_one_byte(tmp_path):
    (tmp_path / "x.txt").write_bytes(("a b c d e\n" * 20).encode("utf-16-le"))
    with pytest.raises(UserError, match="holds NUL bytes"):
        lines_of(tmp_path / "x.txt", how=Preparation(encoding="latin-1"))


def test_a_word_without_an_end_is_refused_soon(tmp_path, monkeypatch):
    monkeypatch.setattr(preparation, "_BLOCK", 1000)
    monkeypatch.setattr(preparation, "LONGEST", 5000)
    (tmp_path / "x.txt").write_text("a" * 100_000)
    with pytest.raises(UserError, match="has a word of over 5,000 letters"):
        lines_of(tmp_path / "x.txt", how=Preparation(lower=True))
    (tmp_path / "y.txt").write_text("日本語。猫、" * 10_000)  # no blank, and short words
    words = lines_of(tmp_path / "y.txt", how=SIMPLE)[0]
    assert words == ["日本語", "猫"] * 10_000


def test_what_is_not_in_its_encoding_is_named_with_its_line(tmp_path):
    path = tmp_path / "x.txt"
    path.write_bytes(b"a b\nc d\n\xff\xfe x\n")
    for how in (Preparation(lower=True), Preparation(encoding="ascii")):
        with pytest.raises(UserError, match=r"x.txt: line 3: not (UTF-8|ascii)"):
            lines_of(path, how=how)


@pytest.mark.parametrize("name", ["nonesuch", "rot13", "base64", "idna", "punycode", "idna\0", ""])
def test_what_is_no_encoding_is_refused(name):
    with pytest.raises(UserError, match="`encoding="):
        w2v.Config(encoding=name)


# Case


def test_lower_is_of_files_and_sentences_alike(tmp_path):
    (tmp_path / "x.txt").write_text("The CAT sat\nthe Cat ran\n")
    of_file = Corpus.from_files(tmp_path / "x.txt", 1, lower=True)
    sentences = [["The", "CAT", "sat"], ["the", "Cat", "ran"]]
    of_list = Corpus.from_sentences(sentences, 1, lower=True)
    assert words_of(of_file) == words_of(of_list) and set(of_file.vocab.words) == {
        *("the", "cat", "sat", "ran")
    }
    assert of_file.sha256 == of_list.sha256


def test_each_preparation_has_its_own_corpus_in_the_cache(tmp_path):
    (tmp_path / "x.txt").write_text("The cat, the CAT\n" * 3)
    cache = str(tmp_path / "cache")
    for _ in range(2):
        found = [
            set(Corpus.from_files(tmp_path / "x.txt", 1, cache_dir=cache, **how).vocab.words)
            for how in ({}, {"lower": True}, {"tokens": "simple"})
        ]
        assert found == [
            {"The", "the", "cat,", "CAT"},
            {"the", "cat,", "cat"},
            {"The", "the", "cat", "CAT"},
        ]


def test_sentences_have_no_encoding():
    with pytest.raises(UserError, match="`tokens`: is for files"):
        w2v.train([["a", "b"]], tokens="simple", progress=False)


# Commands


def test_a_command_prepares_its_text_and_says_so_in_its_flags(tmp_path, capsys):
    (tmp_path / "texts").mkdir()
    text = "The CAT, the “cat” and the dog.\n" * 30
    (tmp_path / "texts" / "x.txt").write_bytes(text.encode("cp1252"))
    held = tmp_path / "held.txt"
    held.write_bytes("A CAT & the DOG…\n".encode("cp1252") * 3)
    how = ["--lower", "--tokens=simple", "--encoding=cp1252", "--min_count=1"]
    args = [*QUICK, *how, f"--corpus={tmp_path / 'texts'}", f"--heldout={held}"]
    assert start("ptb_skipgram", *args, f"--workdir={tmp_path / 'out'}") == 0
    words = {line.split("\t")[0] for line in (tmp_path / "out" / "vocab.tsv").open()}
    assert words >= {"the", "cat", "and", "dog"} and not {"CAT,", "The"} & words
    flags = (tmp_path / "out" / "flags.cfg").read_text()
    assert "--lower=true" in flags and "--tokens=simple" in flags and "--encoding=cp1252" in flags
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["perplexity"] > 1
    args = [*QUICK, f"--corpus={tmp_path / 'texts'}", f"--workdir={tmp_path / 'plain'}"]
    capsys.readouterr()
    assert start("ptb_skipgram", *args) == 1
    assert "probably WINDOWS-1252: --encoding=WINDOWS-1252, or" in capsys.readouterr().err


def test_text8_is_known_by_its_words(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("experiments.runs.reading.TEXT8_WORDS", 10)
    (tmp_path / "text8").write_text("a b c d e a b c d e")
    for reading in ("sentences", "stream"):
        args = [*QUICK, "--dataset=text8", f"--data_dir={tmp_path}", f"--reading={reading}"]
        assert start("ptb_skipgram", *args, f"--workdir={tmp_path / reading}") == 0
        assert "this is another text" not in capsys.readouterr().err


@pytest.mark.parametrize("name", ["text8", "text8.zip", "text8.gz"])
def test_text8_is_read_from_the_users_folder(tmp_path, capsys, name):
    text = b" anarchism originated as a term of abuse" * 20
    if name.endswith(".zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("text8", text)
    else:
        (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    args = [*QUICK, "--dataset=text8", f"--data_dir={tmp_path}", f"--workdir={tmp_path / 'out'}"]
    assert start("ptb_skipgram", *args) == 0
    said = capsys.readouterr().err
    assert "text8: 140 words" in said and "text8 has 17,005,207 words: this is another" in said


def test_text8_that_is_not_there_is_asked_for(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("W2V_JAX_DATA", raising=False)
    out = f"--workdir={tmp_path / 'out'}"
    assert start("ptb_skipgram", *QUICK, "--dataset=text8", out) == 1
    assert "--data_dir=FOLDER with text8" in capsys.readouterr().err
    assert start("ptb_skipgram", *QUICK, "--dataset=text8", f"--data_dir={tmp_path}", out) == 1
    assert "holds neither text8 nor text8.zip" in capsys.readouterr().err
