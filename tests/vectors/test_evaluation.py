"""Measures against gensim, published figures and counts made by hand."""

import lzma
import os
import subprocess
import sys
from collections import Counter
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2v_jax import resources
from w2v_jax.data import files
from w2v_jax.data.sources import locate
from w2v_jax.types import UserError
from w2v_jax.vectors import evaluation, judgements
from w2v_jax.vectors.evaluation import Measure, analogies, standard, word_pairs
from w2v_jax.vectors.word_vectors import WordVectors


def vectors_of(words, seed=0, dim=16):
    vectors = np.random.default_rng(seed).normal(size=(len(words), dim)).astype(np.float32)
    return WordVectors(tuple(words), vectors)


def named(measures):
    return {measure.name: measure for measure in measures}


@pytest.fixture(scope="module")
def standard_sets(tmp_path_factory):
    """A folder with the three standard sets as plain files: name.txt."""
    needs_simlex()
    folder = tmp_path_factory.mktemp("standard")
    for name, path in evaluation.standard_files().items():
        (folder / f"{name}.txt").write_bytes(files.content(path))
    return folder


def needs_simlex():
    if not resources.simlex999():
        pytest.skip("SimLex-999 is not installed")


def keyed(wv):
    theirs = pytest.importorskip("gensim.models").KeyedVectors(wv.vectors.shape[1])
    theirs.add_vectors(list(wv.words), wv.vectors)
    return theirs


def test_word_pairs_agree_with_gensim(standard_sets):
    path = standard_sets / "wordsim353.txt"
    pairs = [line.split("\t") for line in path.read_text().splitlines() if line[0] != "#"]
    words = sorted({word for a, b, _ in pairs for word in (a, b)})[::2]
    # A second spelling further down must not count: gensim takes the first.
    wv = vectors_of([*words, *(word.upper() for word in words[:50] if word != word.upper())])
    pearson, spearman, unknown = keyed(wv).evaluate_word_pairs(str(path))
    ours = named(word_pairs(wv, path))
    assert ours["wordsim353_pearson"].value == pytest.approx(pearson[0], abs=1e-6)
    assert ours["wordsim353_spearman"].value == pytest.approx(spearman[0], abs=1e-6)
    assert 50 < ours["wordsim353_pearson"].covered < 353
    assert ours["wordsim353_pearson"].covered == round(353 * (1 - unknown / 100))
    assert ours["wordsim353_pearson"].total == 353


def test_analogies_agree_with_gensim(standard_sets, tmp_path):
    lines = (standard_sets / "google_analogies.txt").read_text().splitlines()
    path = tmp_path / "some.txt"
    path.write_text(
        "\n".join(line for i, line in enumerate(lines) if line[0] == ":" or i % 25 == 0)
    )
    quadruples = [line.split() for line in path.read_text().splitlines() if line[0] != ":"]
    words = sorted({word for quadruple in quadruples for word in quadruple})
    words = [word for i, word in enumerate(words) if i % 9]
    wv = vectors_of([*words, *(word.lower() for word in words if word != word.lower())], dim=60)
    index = {word: i for i, word in enumerate(wv.words)}
    for a, b, c, d in quadruples[::2]:  # so that some are answered rightly
        if {a, b, c, d} <= set(index):
            wv.vectors[index[d]] = sum(
                sign * wv.vectors[index[word]] for sign, word in ((-1, a), (1, b), (1, c))
            )
    score, sections = keyed(wv).evaluate_word_analogies(str(path))
    ours = list(analogies(wv, path))
    assert 0.05 < score < 0.95
    assert ours[-1].name == "some_accuracy" and ours[-1].value == score
    assert ours[-1].total == len(quadruples) > ours[-1].covered
    assert len(ours) == len(sections) == 15
    for measure, section in zip(ours[:-1], sections[:-1], strict=True):
        right, covered = len(section["correct"]), len(section["correct"] + section["incorrect"])
        assert measure.name == f"some_{section['section']}_accuracy"
        assert (measure.value, measure.covered) == (right / covered if covered else None, covered)


def test_analogies_by_hand(tmp_path):
    path = tmp_path / "hand.txt"
    path.write_text(": sex\nMan Woman King Queen\nman woman boy girl\n\n: none\nx y z w\n")
    points = dict(man=(1, 0, 0), woman=(1, 1, 0), king=(1, 0, 1), queen=(1, 1, 1), pear=(-1, 0, 0))
    wv = WordVectors(tuple(points), np.array(list(points.values()), np.float32))
    assert list(analogies(wv, path)) == [
        Measure("hand_sex_accuracy", 1.0, 1, 2),
        Measure("hand_none_accuracy", None, 0, 1),
        Measure("hand_accuracy", 1.0, 1, 3, 1),
    ]
    wv.vectors[3] = -wv.vectors[3]
    assert list(analogies(wv, path))[-1] == Measure("hand_accuracy", 0.0, 1, 3, 1)


def test_another_spelling_is_no_answer_for_a_query_and_right_for_the_answer(tmp_path):
    path = tmp_path / "hand.txt"
    path.write_text(": sex\nman woman king queen\n")
    # The best answer by cosine is Woman, which is passed over; then Queen, ahead of queen.
    points = dict(man=(1, 0, 0), woman=(1, 1, 0), king=(1, 0, 1), queen=(0, 0, -1))
    points |= dict(Woman=(1, 1, 1), Queen=(1, 1, 0.9), pear=(1, 0.5, 0.5))
    wv = WordVectors(tuple(points), np.array(list(points.values()), np.float32))
    ((_, value, *_), *_) = analogies(wv, path)
    assert value == 1.0
    assert keyed(wv).evaluate_word_analogies(str(path))[0] == value


@pytest.mark.skipif(not os.environ.get("W2V_JAX_DATA"), reason="W2V_JAX_DATA is not set")
def test_the_treebank_covers_what_it_should():
    needs_simlex()
    path = Path(locate("ptb", data_dir=os.environ["W2V_JAX_DATA"]).paths[0])
    words = [word for word, _ in Counter(path.read_text().split()).most_common()]
    ours = named(standard(vectors_of(words)))
    for name, covered, total in (
        ("wordsim353_spearman", 237, 353),
        ("simlex999_pearson", 575, 999),
        ("google_analogies_accuracy", 4716, 19544),
    ):
        assert (ours[name].covered, ours[name].total) == (covered, total)


def mid_ranks(values):
    """By counting: how many are smaller, and half of its equals."""
    return [sum(v < x for v in values) + (sum(v == x for v in values) + 1) / 2 for x in values]


def by_definition(x, y):
    """cov(x, y) / (sd(x) sd(y)), in exact fractions but for the root."""
    x, y = ([Fraction(v) for v in values] for values in (x, y))
    x, y = ([v - sum(values) / len(values) for v in values] for values in (x, y))
    xy, xx, yy = (sum(a * b for a, b in zip(*two, strict=True)) for two in ((x, y), (x, x), (y, y)))
    return float(xy) / float(xx * yy) ** 0.5


@pytest.mark.filterwarnings("error")
@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=12))
def test_correlations_are_those_of_their_definition(items):
    x, y = np.array(items, float).T
    ours = [evaluation.correlation(kind, x, y) for kind in ("spearman", "pearson")]
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert ours == [None, None]
    else:
        theirs = [by_definition(mid_ranks(x), mid_ranks(y)), by_definition(x, y)]
        assert ours == pytest.approx(theirs, abs=1e-12)


@pytest.mark.filterwarnings("error")
def test_correlations_are_the_published_ones():
    """Pearson's of the first of Anscombe's quartet; Spearman's of Wikipedia's article on it."""
    x = np.array([10.0, 8, 13, 9, 11, 14, 6, 4, 12, 7, 5])
    y = np.array([8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68])
    assert evaluation.correlation("pearson", x, y) == pytest.approx(0.816, abs=5e-4)
    iq = np.array([106.0, 100, 86, 101, 99, 103, 97, 113, 112, 110])
    hours = np.array([7.0, 27, 2, 50, 28, 29, 20, 12, 6, 17])
    assert evaluation.correlation("spearman", iq, hours) == pytest.approx(-29 / 165)
    near = 1 + np.array([0.0, 1, 2]) * 2.0**-51  # scipy warns of what is nearly constant
    assert evaluation.correlation("pearson", near, np.array([3.0, 2, 1])) < -0.9
    assert evaluation.correlation("pearson", x[:1], y[:1]) is None


@pytest.mark.parametrize("separator", ["\t", ",", " ", "   ", ", "])
def test_own_pairs_in_any_separation(tmp_path, separator):
    path = tmp_path / "own.txt"
    rows = [("a", "b", "1"), ("A", "c", "2.5"), ("b", "c", "-3e-1"), ("a", "zebra", "4")]
    body = "\n".join(separator.join(row) for row in rows)
    path.write_bytes(f"\ufeff# w1 w2 score\n{body}\n\n".replace("\n", "\r\n").encode())
    wv = WordVectors(("a", "b", "c"), np.array([[1, 0], [1, 1], [0, 2]], np.float32))
    value = np.corrcoef([1, 2.5, -0.3], [0.5**0.5, 0, 0.5**0.5])[0, 1]
    ours = named(word_pairs(wv, path))
    assert ours["own_pearson"] == Measure("own_pearson", pytest.approx(value), 3, 4, 1)


@pytest.mark.parametrize("words", ["xyz", "ab", "abc"], ids=["unknown", "one pair", "constant"])
def test_an_undefined_correlation_is_none(tmp_path, words):
    path = tmp_path / "own.txt"
    path.write_text("a b 1\nb c 2\nc a 3\n")
    wv = WordVectors(tuple(words), np.ones((len(words), 4), np.float32))
    assert [measure.value for measure in word_pairs(wv, path)] == [None, None]


def test_a_diverged_run_has_no_correlation(tmp_path):
    path = tmp_path / "own.txt"
    path.write_text("a b 1\nb c 2\nc a 3\n")
    wv = vectors_of("abc")
    wv.vectors[1] = np.nan
    assert [measure.value for measure in word_pairs(wv, path)] == [None, None]


@pytest.mark.parametrize(
    ("read", "content", "message"),
    [
        (word_pairs, b"a b 1\n\na b\n", "line 3: expected word, word, score: 'a b'"),
        (word_pairs, b"w1\tw2\tscore\n", "line 1: the score 'score' is not a number"),
        (word_pairs, b"w1\tw2\tscore\na\tb\tx\n", "line 1: the score 'score' is not a number"),
        (word_pairs, b"w1\tw2\tscore\na\tb\t1\nb\tc\tx\n", "line 3: the score 'x' is not a"),
        (word_pairs, b"a,b,nan\n", "line 1: the score 'nan' is not a number"),
        (word_pairs, b"a,,1\n", "line 1: expected word, word, score: 'a,,1'"),
        (word_pairs, b"a b 1\n\xff b 2\n", "line 2: not UTF-8"),
        (word_pairs, b"# nothing\n", "no word pairs in it"),
        (analogies, b": s\na b c d\na b c\n", "line 3: expected four words: 'a b c'"),
        (analogies, b": s\n", "no analogies in it"),
    ],
)
def test_bad_files_are_named_with_their_line(tmp_path, read, content, message):
    path = tmp_path / "bad.txt"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        list(read(vectors_of("abcd"), path))
    assert str(caught.value).startswith(f"{path}: {message}")


@pytest.mark.parametrize("read", [word_pairs, analogies])
def test_a_missing_file_is_named(tmp_path, read):
    with pytest.raises(UserError, match=r"none\.txt: No such file"):
        list(read(vectors_of("abcd"), tmp_path / "none.txt"))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([word_pairs, analogies]), st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(tmp_path_factory, read, content):
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_bytes(content)
    try:
        list(read(vectors_of("abcd"), path))
    except UserError as error:
        assert str(path) in str(error) and "\n" not in str(error)


def test_items_by_hand(tmp_path):
    path = tmp_path / "pairs.txt"
    path.write_text("a b 1\nA zebra 2\nb c 3\n")
    wv = WordVectors(("a", "b", "c"), np.array([[1, 0], [1, 1], [0, 0]], np.float32))
    people, cosines = evaluation.pair_items(wv, path)
    assert people.tolist() == [1, 2, 3]
    np.testing.assert_allclose(cosines, [0.5**0.5, np.nan, 0])
    path.write_text(": s\nMan Woman King Queen\nman woman boy girl\nman king woman pear\n")
    points = dict(man=(1, 0, 0), woman=(1, 1, 0), king=(1, 0, 1), queen=(1, 1, 1), pear=(-1, 0, 0))
    wv = WordVectors(tuple(points), np.array(list(points.values()), np.float32))
    answers = evaluation.analogy_items(wv, path)
    assert answers.dtype == np.int8 and answers.tolist() == [1, -1, 0]


def test_a_file_that_changes_is_read_again(tmp_path):
    path = tmp_path / "pairs.txt"
    wv = vectors_of("abc")
    for text, people in (("a b 1\n", [1]), ("a b 2\n", [2])):
        path.write_text(text)
        assert evaluation.pair_items(wv, path)[0].tolist() == people


def test_standard_measures_follow_from_their_items(standard_sets):
    text = (standard_sets / "google_analogies.txt").read_text()
    some = [line.split() for line in text.splitlines()]
    words = sorted({word for line in some[::40] for word in line if line[0] != ":"})
    words += [w for w in ("tiger", "cat", "computer", "keyboard", "old", "new", "smart", "dumb")]
    for name in evaluation.PAIR_SETS:  # enough of them that a figure is told
        pairs = judgements.pairs(evaluation.standard_file(name))[:30]
        words += [word.lower() for *pair, _ in pairs for word in pair]
    wv = vectors_of(dict.fromkeys(words))
    items = evaluation.standard_items(wv)
    people = evaluation.standard_people()
    measures = list(standard(wv))
    assert list(standard(wv, items)) == measures
    assert {name: len(x) for name, x in items.items()} == {
        "wordsim353": 353,
        "simlex999": 999,
        "google_analogies": 19544,
    }
    of_all = named(measures)
    for name, scores in people.items():
        known = np.isfinite(items[name])
        value = np.corrcoef(items[name][known], scores[known])[0, 1]
        assert 1 < known.sum() == of_all[f"{name}_pearson"].covered < len(known)
        assert of_all[f"{name}_pearson"].value == pytest.approx(value, abs=1e-9)
    answers = items["google_analogies"]
    accuracy = of_all["google_analogies_accuracy"]
    assert accuracy.covered == (answers >= 0).sum() > 0
    assert accuracy.value == (answers == 1).sum() / accuracy.covered


def test_items_of_a_diverged_run_cover_what_is_known():
    wv = vectors_of(["tiger", "cat", "computer", "keyboard"])
    wv.vectors[0] = np.nan
    measures = list(standard(wv))
    assert measures[0].covered > 2 and measures[0].value is None
    assert list(standard(wv, evaluation.standard_items(wv))) == measures


def without_simlex(monkeypatch):
    monkeypatch.setattr(resources, "find_spec", lambda name: None)


def test_without_simlex_the_other_sets_are_measured(monkeypatch):
    wv = vectors_of(["tiger", "cat", "computer", "keyboard"])
    without_simlex(monkeypatch)
    measures = named(standard(wv))
    assert measures["wordsim353_spearman"].covered == 3  # tiger-cat, tiger-tiger, and the other two
    assert measures["google_analogies_accuracy"].total == 19_544
    assert not any("simlex" in name for name in measures)
    assert list(evaluation.standard_items(wv)) == ["wordsim353", "google_analogies"]
    assert list(evaluation.standard_people(["wordsim353"])) == ["wordsim353"]
    for asked in (evaluation.standard_people, lambda: evaluation.standard_file("simlex999")):
        with pytest.raises(UserError, match=r"SimLex-999.*pip install 'w2v_jax\[eval\]'"):
            asked()


@pytest.mark.parametrize("line", ["old\tnew\t1.59", ""])
def test_another_file_in_simlexs_place_is_not_read(tmp_path, monkeypatch, line):
    needs_simlex()
    lines = resources.simlex999().read_text().splitlines()
    path = tmp_path / "simlex999.txt"
    path.write_text("\r\n".join(["# any head", *lines, ""]))
    monkeypatch.setattr(resources, "SIMLEX_IN", (("own", path.name),))
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(resources, "find_spec", lambda name: spec)
    assert resources.simlex999() == path
    lines[next(i for i, old in enumerate(lines) if old.startswith("old"))] = line
    path.write_text("\n".join(lines))
    assert resources.simlex999() is None


def test_every_copy_of_simlex_gives_the_same_pairs(monkeypatch):
    found = []
    for folder in resources.SIMLEX_IN:
        monkeypatch.setattr(resources, "SIMLEX_IN", (folder,))
        if path := resources.simlex999():
            found.append(judgements.pairs(path))
    if not found:
        pytest.skip("SimLex-999 is not installed")
    assert len(found[0]) == 999 and found.count(found[0]) == len(found)


def test_the_packaged_sets_are_gensims():
    pytest.importorskip("gensim")
    folder = Path(find_spec("gensim").submodule_search_locations[0]) / "test" / "test_data"
    for name, file in (
        ("wordsim353", "wordsim353.tsv"),
        ("simlex999", "simlex999.txt"),
        ("google_analogies", "questions-words.txt"),
    ):
        read = judgements.analogies if "analog" in name else judgements.pairs
        assert read(evaluation.standard_file(name)) == read(folder / file)


@pytest.mark.slow
def test_other_packages_are_found_but_not_imported():
    program = (
        "import sys, numpy as np; from w2v_jax.vectors import evaluation, word_vectors;"
        "wv = word_vectors.WordVectors(('love', 'sex', 'tiger'), np.eye(3, dtype='f'));"
        "assert next(evaluation.standard(wv)).covered == 2;"  # love-sex, tiger-tiger
        "sys.exit(any(name in sys.modules for name in ('gensim', 'svd2vec', 'pandas')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_packed_file_is_unpacked_and_a_broken_one_named(tmp_path):
    wv = vectors_of("abc")
    plain, packed = tmp_path / "own.txt", tmp_path / "own.txt.xz"
    plain.write_text("a b 1\nb c 2\na c 4\n")
    packed.write_bytes(lzma.compress(plain.read_bytes()))
    assert list(word_pairs(wv, packed, "own")) == list(word_pairs(wv, plain, "own"))
    packed.write_bytes(packed.read_bytes()[:-9])
    with pytest.raises(UserError, match=r"own\.txt\.xz: Compressed file ended"):
        list(word_pairs(wv, packed))


def test_words_of_the_standard_items_are_equal_where_their_ids_are():
    ids, words = evaluation.standard_words(), {}
    shapes = {"wordsim353": (353, 2), "simlex999": (999, 2), "google_analogies": (19544, 4)}
    files = evaluation.standard_files()
    assert {name: of.shape for name, of in ids.items()} == {name: shapes[name] for name in files}
    for name, file in files.items():
        raw = file.read_bytes()
        text = (lzma.decompress(raw) if file.suffix == ".xz" else raw).decode()
        lines = [x for x in text.splitlines() if x[0] not in "#:"]
        if name == "simlex999" and lines[0].startswith("word1"):
            lines = lines[1:]
        for line, mine in zip(lines, ids[name].tolist(), strict=True):
            item = line.split("\t" if "\t" in line else None)
            for word, number in zip(item, mine, strict=False):  # a score may follow
                assert words.setdefault(number, word.lower()) == word.lower()
    assert len(set(words.values())) == len(words)


@pytest.mark.parametrize("covered", [0, 2, 19, 20, 353])
def test_a_figure_of_fewer_than_twenty_items_is_not_told(covered):
    found = list(evaluation.told([evaluation.Measure("any", 0.5, covered, 353)]))
    assert found[0] == evaluation.Measure("any", 0.5 if covered >= 20 else None, covered, 353)


def test_a_text_that_knows_two_pairs_has_their_number_and_no_figure(standard_sets):
    wv = vectors_of(["tiger", "cat", "computer", "keyboard"])
    found = named(standard(wv))["wordsim353_spearman"]
    assert found.value is None and 2 <= found.covered < 20
