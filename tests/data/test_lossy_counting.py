"""Vocabulary scans that forget rare words against a dict that forgets them."""

import os
import re
from collections import Counter
from itertools import chain, count

import numpy as np
import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st
from naive import decoded, error_of, load, naive_read, written

from w2v_jax.data import id_cache, loader, lossy_counting
from w2v_jax.data.sources import read_chunks
from w2v_jax.data.tokenizer import Words, tokens

WORDS = [*"abcdefg", "é", "abcdefgh", "abcdefghi", "abcdefgh" * 2, "<unk>", "<eos>"]
PIECES = [piece.encode() for piece in [*WORDS, *" \n\n\t\u3000"]]
MANY = [*PIECES, *[b" a", b" b ", b" c ", b" d ", b"e\n"] * 3]
TEXTS = st.lists(st.sampled_from(MANY), min_size=20, max_size=80).map(b"".join)
SETTINGS = {
    "min_count": st.integers(0, 3),
    "max_vocab": st.integers(0, 5),
    "unk": st.sampled_from(["keep", "drop"]),
    "eos": st.booleans(),
    "max_words": st.sampled_from([0, 0, 1, 9, 20, 40]),
    "known": st.lists(st.sampled_from([*WORDS, "absent", "a b"]), max_size=3).map(tuple),
}


def words_of_chunks(paths, size, eos, max_words):
    """The words of each chunk that is read."""
    left = max_words or 10**9
    for chunk in read_chunks(paths, size):
        text = chunk.data.decode()
        text = text.replace("\n", " <eos> ") if eos else text
        text += " <eos>" if eos and chunk.open_line else ""
        words = text.split()[:left]
        yield words
        left -= len(words)
        if not left:
            return


def forgetting(chunks, max_types, known):
    """(words read, None for those forgotten; how often words were forgotten; thresholds' sum)."""
    text, times, short = [], 0, 0
    for words in filter(None, chunks):
        counts = Counter(text)
        others = {w: n for w, n in counts.items() if w not in {None, "<unk>", "<eos>", *known}}
        if len(others) > max_types:
            c = next(c for c in count() if sum(n > c for n in others.values()) <= max_types / 2)
            text = [w if others.get(w, c + 1) > c else None for w in text]
            times, short = times + 1, short + c
        text += words
    return text, times, short


def chosen(text, min_count, max_vocab, unk, known):
    """The words that have an id, most frequent first, None for '<unk>'."""
    ranked = [(w, n) for w, n in Counter(text).most_common() if w not in (None, "<unk>")]
    kept = [w for w, n in ranked if n >= min_count or w in known]
    rare = len(kept) < len(ranked) or None in text or "<unk>" in text
    room = max_vocab or len(kept) + 1
    if unk == "keep" and (rare or len(kept) > room):
        room -= 1
    return sorted(kept, key=lambda w: w not in known)[:room] if kept else []


def expected(source, files, size, max_types, **options):
    """(lines of words, words read, what was lost), or None where no word is left.

    What was lost: how often words were forgotten, their occurrences, the sum of the thresholds.
    """
    eos, max_words = options.pop("eos", False), options.pop("max_words", 0)
    read, _ = naive_read(files, eos, max_words)
    known = options.get("known", ())
    chunks = list(words_of_chunks(source.paths, size, eos, max_words))
    assert [*chain(*chunks)] == [*chain(*read)]
    text, *lost = forgetting(chunks, max_types, known)
    choice = {"min_count": 1, "max_vocab": 0, "unk": "keep", **options, "known": known}
    kept = set(chosen(text, **choice))
    if not kept:
        return None
    rare, left = "<unk>" if choice["unk"] == "keep" else None, iter(text)
    lines = [[w if w in kept else rare for w in (next(left) for _ in line)] for line in read]
    lines = [[*chain(*lines)]] if eos else lines
    lines = [[w for w in line if w] for line in lines]
    return [line for line in lines if line], len(text), (lost[0], text.count(None), lost[1])


def numbers_of(notes):
    """(times, occurrences lost, thresholds' sum) as the only note tells them; zeros without one."""
    if not notes:
        return 0, 0, 0
    (line,) = notes
    line = line.replace("forgotten once", "forgotten 1 times").replace(",", "")
    pattern = r"forgotten (\d+) times while reading: (\d+) occ.* may be up to (\d+) short"
    return tuple(map(int, re.search(pattern, line).groups()))


def agree(source, files, size, max_types, **options):
    """Compares a corpus with the naive derivation; returns what was lost."""
    wanted = expected(source, files, size, max_types, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loader, "CHUNK", size)
        if wanted is None:
            error_of(load, source, max_types=max_types, **options)
            return 0, 0, 0
        notes = []
        corpus = load(source, max_types=max_types, note=notes.append, **options)
    lines, words, lost = wanted
    assert decoded(corpus) == lines and corpus.words == words
    types = Counter(w for line in lines for w in line).most_common()
    assert list(zip(corpus.vocab.words, corpus.vocab.counts.tolist(), strict=True)) == types
    assert numbers_of(notes) == lost
    return lost


@settings(max_examples=200, deadline=None)
@example([b"a b b c c <unk> c d a a e f"], 2, 2, {})
@example([b"a p p q q r s p p p t u v p"], 2, 4, {})  # '<unk>' and 'p' tie
@example([b"a b c d e f"], 2, 1, {"unk": "drop", "max_words": 5})
@given(
    st.lists(TEXTS, min_size=1, max_size=2),
    st.integers(1, 20),
    st.integers(1, 5),
    st.fixed_dictionaries({}, optional=SETTINGS),
)
@pytest.mark.slow
def test_any_text_is_read_as_a_dict_that_forgets_reads_it(
    tmp_path_factory, files, size, max_types, options
):
    source = written(tmp_path_factory.mktemp("text"), files)
    times, _, _ = agree(source, files, size, max_types, **options)
    event(f"forgotten {min(times, 5)} times")


def zipf(words, seed=0):
    rng = np.random.default_rng(seed)
    lines = np.split(rng.zipf(1.3, size=words) % 5000, words // 20)
    return ["".join(" ".join(f"w{i}" for i in line) + "\n" for line in lines).encode()]


@pytest.mark.parametrize("options", [{}, {"unk": "drop", "known": ("w4999", "w77")}, {"eos": True}])
def test_many_generations(tmp_path, options):
    files = zipf(20_000)
    times, lost, short = agree(written(tmp_path, files), files, 2000, 150, min_count=2, **options)
    assert times > 8 and lost > 1000 and short >= times


@pytest.mark.parametrize("unk", ["keep", "drop"])
def test_a_limit_that_is_not_reached_changes_nothing(tmp_path, monkeypatch, unk):
    monkeypatch.setattr(loader, "CHUNK", 2000)
    source, notes = written(tmp_path, zipf(5000)), []
    free = load(source, min_count=2, unk=unk)
    types = len(load(source).vocab.words)
    bound = load(source, min_count=2, unk=unk, max_types=types, note=notes.append)
    assert notes == [] and free.vocab.words == bound.vocab.words
    for a, b in zip(
        (free.ids, free.line_ends, free.vocab.counts),
        (bound.ids, bound.line_ends, bound.vocab.counts),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
    load(source, max_types=types // 2, note=notes.append)
    assert len(notes) == 1


@pytest.mark.parametrize("max_types", [20, 100, 500])
def test_no_count_is_shorter_than_told_so_frequent_words_stay(tmp_path, monkeypatch, max_types):
    monkeypatch.setattr(loader, "CHUNK", 3000)
    files, notes = zipf(20_000, seed=max_types), []
    counts = Counter(files[0].decode().split())
    found = load(
        written(tmp_path, files), max_types=max_types, min_count=3, unk="drop", note=notes.append
    )
    _, lost, short = numbers_of(notes)
    kept = dict(zip(found.vocab.words, found.vocab.counts.tolist(), strict=True))
    assert all(counts[w] - short <= n <= counts[w] for w, n in kept.items())
    assert any(n < counts[w] for w, n in kept.items())
    frequent = {w for w, n in counts.items() if n >= short + 3}
    assert frequent <= set(kept) and len(frequent) >= 5
    assert lost <= 20_000 - sum(kept.values())


def test_the_cache_tells_again_what_was_lost_and_keeps_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr(loader, "CHUNK", 500)
    (tmp_path / "text").mkdir()
    source, cache, notes = written(tmp_path / "text", zipf(2000)), tmp_path / "cache", []
    first = load(source, cache, max_types=50, note=notes.append)
    (folder,) = [p for p in (cache / "corpora").iterdir() if p.name != "sources"]
    assert sorted(os.listdir(folder)) == sorted(id_cache._FILES)
    with monkeypatch.context() as patch:
        patch.setattr(loader, "_scan", None)
        again = load(source, cache, max_types=50, note=notes.append)
    assert len(notes) == 2 and notes[0] == notes[1]
    assert notes[0].startswith("`max_types=50`: rare words were forgotten ")
    assert "occurrences of them became '<unk>'" in notes[0]
    np.testing.assert_array_equal(first.ids, again.ids)
    load(source, cache, max_types=51, unk="drop", note=notes.append)
    assert len(notes) == 3 and "occurrences of them are left out" in notes[2]


def memory_of(counter):
    arrays = [counter._counts, *counter._table._appeared]
    arrays += [a for a in vars(counter._table).values() if isinstance(a, np.ndarray)]
    return sum(a.nbytes for a in arrays) + 100 * len(counter._table._appeared)


def test_memory_is_bounded_by_the_limit_whatever_is_read(tmp_path):
    counter, sizes = lossy_counting.LossyCounter(str(tmp_path), 1000), []
    for i in range(200):
        text = " ".join(f"{j}" * 4 for j in range(300 * i, 300 * (i + 1)))
        counter.add(Words(tokens(text.encode())[0]), 301)
        assert counter._table.size <= 1000 + 300
        sizes.append(memory_of(counter))
    assert counter.generation > 30 and max(sizes[20:]) <= 1.2 * max(sizes[:20])
    repeated, text = lossy_counting.LossyCounter(str(tmp_path), 1000), Words(tokens(b"a b c")[0])
    for _ in range(100):
        repeated.add(text, 4)
    assert len(repeated._table._appeared) < 10
