"""How a user asks: flags by other programs' names, globs, quotes, marks, flags as given."""

import bz2
import codecs
import gzip
import lzma
import os
import threading

import numpy as np
import pytest
from scripts import start, text_of

from experiments.cli import baseline_flags, flag_lines, quoted
from w2v_jax.data import sources
from w2v_jax.types import UserError
from w2v_jax.vectors import io as vectors_io
from w2v_jax.vectors.word_vectors import WordVectors


def error_of(capsys, *arguments):
    assert start(*arguments) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    return error


@pytest.mark.parametrize(
    ("given", "said"),
    [
        *(("--size=4", "--dim"), ("-size 4", "--dim"), ("--vector_size=4", "--dim")),
        *(("--iter=3", "--epochs"), ("-threads 4", "all cores"), ("--workers=2", "all cores")),
        *(("--limit=9", "read whole"), ("--sg=1", "--model=skipgram"), ("--hs=1", "--loss=hier")),
        *(("-train t.txt", "--corpus"), ("-output v", "--workdir"), ("-minCount 1", "--min_count")),
        *(("-lr .1", "--learning_rate"), ("-ws 3", "--window"), ("-cbow 0", "--model=cbow")),
    ],
)
def test_other_programs_flags_are_known(capsys, given, said):
    error = error_of(capsys, "train_corpus", *given.split())
    assert said in error.partition("Here: ")[2]


def test_only_flags_that_a_script_has_are_hinted_at():
    assert not baseline_flags.hint("nonsense")
    assert not baseline_flags.hint("size")  # this process has no --dim


def test_an_unquoted_glob_is_named(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.txt", "b.txt", "c.txt"):
        (tmp_path / name).write_text(text_of())
    error = error_of(capsys, "train_corpus", "--corpus", "a.txt", "b.txt", "c.txt")
    assert "'b.txt'" in error and "quoted (--corpus='*.txt')" in error


@pytest.mark.parametrize("start_", ["\ufeff", "\ufeff# mine\n"])
def test_a_flagfile_may_have_a_byte_order_mark(tmp_path, capsys, start_):
    (tmp_path / "f.cfg").write_text(f"{start_}--topk=0\n", encoding="utf-8")
    error = error_of(capsys, "query", f"--flagfile={tmp_path}/f.cfg")
    assert "--topk" in error or "topk=0" in error


PACKED = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "marked gzip": lambda data: gzip.compress(codecs.BOM_UTF8 + data),
    "plain": bytes,
}


@pytest.mark.parametrize("name", ["f.cfg", "flags.cfg"])
@pytest.mark.parametrize("kind", [*PACKED, "a pipe"])
def test_a_flagfile_is_opened_as_every_file_is(tmp_path, capsys, kind, name):
    inner, outer = tmp_path / name, tmp_path / "outer.cfg"
    packed = PACKED.get(kind, bytes)(b"# mine\n\n// too\n--topk=3\n--vectors=absent.txt\n")
    if kind == "a pipe":
        os.mkfifo(inner)
        threading.Thread(target=inner.write_bytes, args=(packed,), daemon=True).start()
    else:
        inner.write_bytes(packed)
    outer.write_text(f"--similar=a\n--flagfile={inner}\n")
    assert "absent.txt" in error_of(capsys, "query", f"--flagfile={outer}")


FOREIGN = {
    "UTF-16": ("--topk=3\n".encode("utf-16"), "is UTF-16 text: `iconv -f UTF-16 -t UTF-8"),
    "zip": (b"PK\x03\x04\x14\0", "is a zip archive"),
    "cp1251": (b"--topk=3\n# " + "Это предложение".encode("cp1251"), "line 2: not UTF-8, probably"),
    "cut": (gzip.compress(b"--topk=3\n" * 9)[:-9], "ended before"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_flagfile_that_is_no_text_is_named(tmp_path, capsys, kind):
    content, said = FOREIGN[kind]
    (tmp_path / "f.cfg").write_bytes(content)
    error = error_of(capsys, "query", f"--flagfile={tmp_path}/f.cfg")
    assert error.startswith(f"error: --flagfile={tmp_path}/f.cfg: ") and said in error


def test_a_flagfile_that_names_itself_is_refused_and_none_may_be_given(tmp_path, capsys):
    (tmp_path / "f.cfg").write_text(f"--flagfile={tmp_path}/f.cfg\n")
    assert "names itself" in error_of(capsys, "query", f"--flagfile={tmp_path}/f.cfg")
    assert "absent.txt" in error_of(
        capsys, "query", "--flagfile=/dev/null", "--similar=a", "--vectors=absent.txt"
    )
    assert "--flagfile" in error_of(capsys, "query", "--flagfile")


def test_values_and_what_follows_are_no_flagfiles():
    for args in (["--", "--flagfile=a"], ["--unknown", "b", "--flagfile=a"]):
        assert flag_lines.expanded(args) == args


def test_messages_name_the_flag_that_was_given(tmp_path):
    for given in ("/nope", str(tmp_path), ","):
        with pytest.raises(UserError, match=f"^`heldout={given}"):
            sources.locate("", corpus=given, argument="heldout")


WORDS = ("1,5", "a:b", 'c"d', "w3", "w4", "w5")


@pytest.mark.parametrize("mark", [",", ":"])
def test_words_that_hold_the_mark_are_quoted(mark):
    assert quoted.words(f'"x{mark}y"{mark} b {mark}"c""d"', mark) == [f"x{mark}y", "b", 'c"d']
    assert quoted.words(f"a{mark}b{mark}c", mark) == ["a", "b", "c"]
    assert quoted.words(f"a{mark}{mark}c", mark) == ["a", "", "c"]
    assert quoted.words(f'"a{mark}b', mark) == ['"a', "b"]


def test_analogies_of_words_with_commas_and_colons(tmp_path, capsys):
    vectors = np.random.default_rng(0).normal(size=(6, 4)).astype("f")
    vectors_io.save(tmp_path / "v.txt", WordVectors(WORDS, vectors))
    asked = ('--analogy="1,5",a:b,w3', '--analogy=w3, "1,5",w4')
    assert start("query", f"--vectors={tmp_path}/v.txt", *asked) == 0
    printed = capsys.readouterr().out
    assert "1,5 : a:b = w3 : " in printed and "w3 : 1,5 = w4 : " in printed
