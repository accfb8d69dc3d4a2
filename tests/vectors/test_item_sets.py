"""One's own word pairs and analogies, measured beside the standard ones."""

import numpy as np
import pytest

from w2v_jax.api import evaluate
from w2v_jax.types import UserError
from w2v_jax.vectors import evaluation, item_sets
from w2v_jax.vectors.word_vectors import WordVectors

WORDS = tuple(f"w{i}" for i in range(40))
WV = WordVectors(WORDS, np.random.default_rng(3).normal(size=(40, 8)).astype(np.float32))


def pairs_file(path, score_first=False, count=30):
    draw = np.random.default_rng(1)
    scores = [round(float(draw.uniform(0, 9)), 3) for _ in range(count)]
    rows = [(*draw.choice(WORDS, 2, False), score) for score in scores]
    lines = [f"{s},{a},{b}" if score_first else f"{a}\t{b}\t{s}" for a, b, s in rows]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def analogies_file(path, count=25):
    draw = np.random.default_rng(2)
    rows = [": one", *(" ".join(draw.choice(WORDS, 4, False)) for _ in range(count))]
    path.write_text("\n".join(rows) + "\n")
    return str(path)


def test_ones_own_sets_are_measured_as_by_evaluation(tmp_path):
    pairs = pairs_file(tmp_path / "mine.tsv")
    analogies = analogies_file(tmp_path / "quest.txt")
    own = item_sets.read_all([pairs], [analogies])
    assert [one.headline for one in own] == ["mine_spearman", "quest_accuracy"]
    items = item_sets.items_of(WV, own)
    standard = list(evaluation.standard(WV))
    expected = [
        *standard,
        *evaluation.word_pairs(WV, pairs, "mine"),
        *evaluation.analogies(WV, analogies, "quest"),
    ]
    for found in (item_sets.measured(WV, own), item_sets.measured(WV, own, items)):
        assert list(found) == expected
    assert list(evaluate(WV, pairs=pairs, analogies=[analogies])) == expected
    assert items["mine"].shape == (30,) and items["quest"].shape == (25,)
    assert item_sets.people_of(own[0]).shape == (30,)
    groups = item_sets.groups_of(own[0])
    lines = [line.split("\t")[:2] for line in (tmp_path / "mine.tsv").read_text().splitlines()]
    words = np.array(lines)
    same = groups.ravel()[:, None] == groups.ravel()[None]
    np.testing.assert_array_equal(same, words.ravel()[:, None] == words.ravel()[None])
    assert item_sets.groups_of(own[1]).shape == (25, 4)


def test_a_set_has_a_name_that_no_other_has(tmp_path):
    (tmp_path / "a").mkdir()
    paths = [
        pairs_file(tmp_path / "wordsim353.csv", count=21),
        pairs_file(tmp_path / "a" / "my-set.txt", count=22),
        pairs_file(tmp_path / "my set.tsv.gz", count=23),
        pairs_file(tmp_path / "...txt", count=24),
    ]
    names = [one.name for one in item_sets.read_all(paths)]
    assert names == ["wordsim353_2", "my_set", "my_set_2", "pairs"]


def test_a_section_is_no_set(tmp_path):
    (tmp_path / "a").mkdir()
    one, other = tmp_path / "mine.txt", tmp_path / "mine_x.txt"
    analogies_file(one)
    one.write_text(one.read_text().replace(": one", ": x"))
    analogies_file(other, count=22)
    google = analogies_file(tmp_path / "google_analogies_family.txt", count=23)
    for paths in ([one, other, google], [other, one, google]):
        own = item_sets.read_all((), list(map(str, paths)))
        found = [m for m in item_sets.measured(WV, own)]
        for each in own:
            whole = [m for m in found if m.name == each.headline]
            assert len(whole) == 1 and whole[0].total == len(item_sets.groups_of(each))


def test_a_set_is_known_by_its_items(tmp_path):
    (one,) = item_sets.read_all(pairs_file(tmp_path / "mine.tsv"))
    text = (tmp_path / "mine.tsv").read_text()
    (tmp_path / "other.csv").write_text("# the same\n" + text.replace("\t", ","))
    (other,) = item_sets.read_all(str(tmp_path / "other.csv"))
    assert one.sha256 == other.sha256 and item_sets.unchanged(one)
    (tmp_path / "mine.tsv").write_text(text.replace("w1\t", "w2\t", 1))
    assert not item_sets.unchanged(one)
    (tmp_path / "mine.tsv").unlink()
    assert not item_sets.unchanged(one)


def test_the_column_of_the_scores_is_that_of_pairs_alone(tmp_path):
    path = pairs_file(tmp_path / "mine.csv", score_first=True)
    with pytest.raises(UserError, match=r"`pairs=.*mine.csv`: line 1"):
        item_sets.read_all(path, score_column="3")
    quest = analogies_file(tmp_path / "quest.txt")
    text = "score,one,two\n" + (tmp_path / "mine.csv").read_text()
    (tmp_path / "mine.csv").write_text(text)
    one, _ = item_sets.read_all([path], [quest], "score")
    assert item_sets.people_of(one).shape == (30,)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (dict(pairs="nothere.txt"), "`pairs=nothere.txt`: No such file"),
        (dict(pairs=" "), "`pairs= `: names no file"),
        (dict(analogies=["nothere.txt"]), "`analogies=nothere.txt`: No such file"),
    ],
)
def test_what_cannot_be_read_is_named(given, said):
    with pytest.raises(UserError) as caught:
        item_sets.read_all(**given)
    assert str(caught.value).startswith(said)


def test_the_same_items_are_refused_twice(tmp_path):
    one, other = (pairs_file(tmp_path / name) for name in ("a.txt", "b.txt"))
    with pytest.raises(UserError, match=r"b.txt`: the same items are given twice"):
        item_sets.read_all([one, other])
