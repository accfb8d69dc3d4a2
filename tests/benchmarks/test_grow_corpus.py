"""A grown text is whole copies of the other, each shuffled."""

from collections import Counter

import numpy as np
import pytest
from scripts import contents, start

from experiments.benchmarks import grow_corpus
from w2v_jax.types import UserError

LINES = ["the cat sat", "a dog", "one", "ein Bär  im\tWald", "the cat sat"]
CLEAN = ["the cat sat", "a dog", "one", "ein Bär im Wald", "the cat sat"]
WORDS = 13


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("\n".join([*LINES[:2], "", *LINES[2:]]))
    return path


def grown(folder):
    paths = sorted(folder.iterdir())
    return paths, "".join(path.read_text() for path in paths).splitlines()


def test_every_line_comes_as_often_as_there_are_copies(text, tmp_path, capsys):
    args = f"--corpus={text}", f"--words={7 * WORDS}", "--files=3", f"--workdir={tmp_path / 'out'}"
    assert start("grow_corpus", *args) == 0
    paths, lines = grown(tmp_path / "out")
    assert [path.name for path in paths] == ["part-00.txt", "part-01.txt", "part-02.txt"]
    assert Counter(lines) == {line: 7 * n for line, n in Counter(CLEAN).items()}
    copies = [lines[i : i + 5] for i in range(0, 35, 5)]
    assert all(Counter(copy) == Counter(CLEAN) for copy in copies)
    assert len(set(map(tuple, copies))) > 1  # in orders of their own
    assert capsys.readouterr().out.startswith("91 words, 7.00 copies")


def test_it_stops_at_the_line_that_reaches_the_words(text, tmp_path):
    lines = grow_corpus.read([str(text)])
    told = []
    words = grow_corpus.grow(lines, 30, tmp_path / "out", 2, 1, told.append)
    paths, found = grown(tmp_path / "out")
    assert words == sum(told) == sum(len(line.split()) for line in found)
    assert 30 <= words < 30 + len(found[-1].split())
    first = len(paths[0].read_text().split())
    assert 15 <= first < 15 + len(paths[0].read_text().splitlines()[-1].split())


def test_many_blocks_a_copy_and_lines_longer_than_a_file(text, tmp_path, monkeypatch):
    monkeypatch.setattr(grow_corpus, "_BLOCK", 2)
    lines = grow_corpus.read([str(text)])
    assert grow_corpus.grow(lines, 2 * WORDS, tmp_path / "out", 12, 1) == 2 * WORDS
    paths, found = grown(tmp_path / "out")
    assert len(paths) == 12 and Counter(found) == {n: 2 * k for n, k in Counter(CLEAN).items()}


def test_the_seed_decides(text, tmp_path):
    lines = grow_corpus.read([str(text)])
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        grow_corpus.grow(lines, 20 * WORDS, tmp_path / name, 2, seed)
    a, b, c = (contents(tmp_path / name) for name in "abc")
    assert a == b != c


def test_what_is_there_stays(text, tmp_path, capsys):
    out = tmp_path / "out"
    args = f"--corpus={text}", f"--words={WORDS}", "--files=2", f"--workdir={out}"
    assert start("grow_corpus", *args) == 0
    before = contents(out)
    assert start("grow_corpus", *args, "--seed=9") == 1
    assert "part-00.txt" in capsys.readouterr().err and contents(out) == before
    (out / "part-07.txt.tmp").write_text("cut")  # what a killed one leaves
    assert start("grow_corpus", *args, "--overwrite", "--seed=9") == 0
    assert set(contents(out)) == set(before) and contents(out) != before
    (out / "mine.txt").write_text("mine")
    before = contents(out)
    assert start("grow_corpus", *args, "--overwrite") == 1
    assert "mine.txt" in capsys.readouterr().err and contents(out) == before


def test_a_folder_is_not_grown_into_itself(text, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    (own / "part-00.txt").write_text("a b\n")
    with pytest.raises(UserError, match="the text to repeat"):
        grow_corpus.check(own, [str(own / "part-00.txt")], True)
    assert (own / "part-00.txt").exists()


def test_no_words_and_no_room(text, tmp_path):
    empty = tmp_path / "empty.txt"
    empty.write_text("\n \n")
    with pytest.raises(UserError, match="no words"):
        grow_corpus.read([str(empty)])
    lines = grow_corpus.read([str(text)])
    assert np.array_equal(lines.words, [3, 2, 1, 4, 3])
    with pytest.raises(UserError, match=r"needs .* GB"):
        grow_corpus.grow(lines, 10**15, tmp_path / "out", 2, 1)
    assert list((tmp_path / "out").iterdir()) == []
