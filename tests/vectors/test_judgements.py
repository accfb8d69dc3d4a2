"""Files of judgements in the layouts that their authors publish, and the suite that finds them."""

import gzip
import zipfile

import numpy as np
import pytest

from w2v_jax.types import UserError
from w2v_jax.vectors import categorisation, evaluation, judgements, suites
from w2v_jax.vectors.word_vectors import WordVectors

TIGER = (("tiger", "cat", 7.35), ("tiger", "jaguar", 8.0))
PAIRS = {
    "tabs": "tiger\tcat\t7.35\ntiger\tjaguar\t8\n",
    "blanks (RG-65)": "tiger cat 7.35\ntiger   jaguar 8.0\n",
    "semicolons": "tiger;cat;7.35\ntiger;jaguar;8.00\n",
    "commas (MTurk-771)": "tiger,cat,7.35\ntiger,jaguar,8\n",
    "a header (WordSim-353)": "Word 1,Word 2,Human (mean)\ntiger,cat,7.35\ntiger,jaguar,8.00\n",
    "comments": "# Finkelstein\n#\ntiger\tcat\t7.35\n# more\ntiger\tjaguar\t8.00\n",
    "CRLF, a mark, blank lines": "\ufefftiger\tcat\t7.35\r\n\r\ntiger\tjaguar\t8.00\r\n",
    "SimLex-999": (
        "word1\tword2\tPOS\tSimLex999\tconc(w1)\tSD\n"
        "tiger\tcat\tN\t7.35\t2.8\t1\ntiger\tjaguar\tN\t8.0\t3\t2\n"
    ),
    "SimVerb-3500": "tiger\tcat\tV\t7.35\tSYNONYMS\ntiger\tjaguar\tV\t8.00\tNONE\n",
    "RW: a mean, then each rater": "tiger\tcat\t7.35\t7\t8\ntiger\tjaguar\t8.0\t8\t8\n",
    "a number before": "id\tword1\tword2\tscore\n1\ttiger\tcat\t7.35\n2\ttiger\tjaguar\t8.0\n",
    "the score first": "score,a,b\n7.35,tiger,cat\n8.0,tiger,jaguar\n",
    "raters' columns that are called by numbers": (
        "Word 1,Word 2,Human (mean),1,2\ntiger,cat,7.35,7,8\ntiger,jaguar,8,8,8\n"
    ),
    "quotes": 'word1,word2,score\n"tiger","cat","7.35"\n"tiger","jaguar",8\n',
    "a named column of several": ("w1,w2,sd,rating\ntiger,cat,0.1,7.35\ntiger,jaguar,0.2,8.00\n"),
}


@pytest.mark.parametrize("name", PAIRS)
def test_pairs_are_read_as_published(tmp_path, name):
    (tmp_path / "x.txt").write_bytes(PAIRS[name].encode())
    assert judgements.pairs(tmp_path / "x.txt") == TIGER


def test_a_column_is_named_or_numbered(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("a,b,first,second\ntiger,cat,1,7.35\ntiger,jaguar,2,8\n")
    assert judgements.pairs(path, "second") == judgements.pairs(path, "4") == TIGER
    assert judgements.pairs(path)[0][2] == 1
    with pytest.raises(
        UserError, match=r"x\.csv: line 1: no column 'third': there are a, b, first"
    ):
        judgements.pairs(path, "third")
    path.write_text("tiger,cat,1\n")
    with pytest.raises(UserError, match="it has no header: give a number"):
        judgements.pairs(path, "score")
    with pytest.raises(UserError, match="line 1: has no column for `score_column=9`"):
        judgements.pairs(path, "9")


KING = ("man", "woman", "king", "queen")


@pytest.mark.parametrize(
    ("text", "sections"),
    [
        (": sex\nman woman king queen\n", ("sex",)),
        ("# sex\nman woman king queen\n", ("sex",)),
        ("man woman king queen\n", ("",)),
        ("man\twoman\tking\tqueen\tsex\n", ("sex",)),
        (": sex\nman\twoman\tking\tqueen\n", ("sex",)),
    ],
)
def test_analogies_are_read_as_published(tmp_path, text, sections):
    (tmp_path / "x.txt").write_text(text)
    found, (item,) = judgements.analogies(tmp_path / "x.txt")
    assert found == sections and item.words == KING and item.section == 0


def test_tabs_part_words_that_hold_blanks(tmp_path):
    (tmp_path / "x.txt").write_text("new york\tusa\tparis\tfrance\n")
    _, (item,) = judgements.analogies(tmp_path / "x.txt")
    assert item.words == ("new york", "usa", "paris", "france")


def test_two_columns_are_no_pairs(tmp_path):
    (tmp_path / "x.txt").write_text("a:b 3\nc:d 4\n")
    with pytest.raises(UserError, match="line 1: expected word, word, score"):
        judgements.pairs(tmp_path / "x.txt")


def test_bats_has_several_answers_in_files_of_a_folder(tmp_path):
    folder = tmp_path / "BATS_3.0" / "1_Inflectional_morphology"
    folder.mkdir(parents=True)
    (folder / "I01 [noun - plural].txt").write_text("album\talbums\nape\tapes/monkeys\ncat\tcats\n")
    (folder / "I02 [x].txt").write_text("a\tb\nc\td\n")
    sections, items = judgements.analogies(tmp_path / "BATS_3.0")
    assert sections == ("I01 [noun - plural]", "I02 [x]") and len(items) == 3 * 2 + 2
    assert [item.answers for item in items if item.c == "ape"] == [("apes", "monkeys")] * 2
    words = ("album", "albums", "ape", "monkeys", "cat")
    points = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1], [0, 1, 1], [0, 0.2, -1]], "f")
    answers = evaluation.analogy_items(WordVectors(words, points), tmp_path / "BATS_3.0")
    known = {(item.a, item.c): int(x) for item, x in zip(items, answers, strict=True) if x >= 0}
    assert known == {("album", "ape"): 1}  # by its second answer; apes and cats are unknown
    with pytest.raises(UserError, match=r"holds no \.txt file"):
        judgements.analogies(_made(tmp_path / "empty"))


def _made(folder):
    folder.mkdir()
    return folder


ANIMALS = (("cat", "animal"), ("dog", "animal"), ("oak", "tree"))


@pytest.mark.parametrize(
    "text",
    [
        "cat animal\ndog animal\noak tree\n",
        "cat\tanimal\ndog\tanimal\noak\ttree\n",
        "cat,animal\ndog,animal\noak,tree\n",
        ": animal\ncat\ndog\n: tree\noak\n",
        "word,category\ncat,animal\ndog,animal\noak,tree\n",
        "cat\tanimal\tattri\tfurry\ncat\tanimal\thyper\tpet\ndog\tanimal\tx\ty\noak\ttree\tx\ty\n",
    ],
)
def test_categories_are_read_as_published(tmp_path, text):
    (tmp_path / "x.txt").write_text(text)
    assert judgements.categories(tmp_path / "x.txt") == ANIMALS


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cat\n", "line 1: expected word, category: 'cat'"),
        ("cat animal\n", "fewer than two categories"),
        ("", "fewer than two categories"),
    ],
)
def test_categories_that_are_none_are_refused(tmp_path, text, said):
    (tmp_path / "x.txt").write_text(text)
    with pytest.raises(UserError, match=said):
        judgements.categories(tmp_path / "x.txt")


def test_suffixes_are_known():
    assert judgements.suffix_of(["sun-n", "sunlight-n", "run-v"]) == "-n"
    assert judgements.suffix_of(["cat.n", "dog.n"]) == ".n"
    assert judgements.suffix_of(["sun", "up-to-date", "cat"]) == ""


def test_purity_by_hand():
    clusters = np.array([0, 0, 0, 1, 1, 2])
    assert categorisation.purity(clusters, np.array([0, 0, 1, 1, 1, 0])) == pytest.approx(5 / 6)
    assert categorisation.purity(np.zeros(4, int), np.array([0, 1, 2, 2])) == 0.5


def test_categories_that_lie_apart_are_pure(tmp_path):
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(0)
    centres = np.eye(3, 6)
    names = [f"w{i}" for i in range(30)]
    rows = centres[np.arange(30) % 3] + rng.normal(size=(30, 6)) * 0.05
    text = "".join(f"{name} c{i % 3}\n" for i, name in enumerate(names)) + "unknown c0\nother c9\n"
    (tmp_path / "x.txt").write_text(text)
    wv = WordVectors(tuple(names), rows.astype("f"))
    assert categorisation.categorisation(wv, tmp_path / "x.txt", "x") == (
        "x_purity",
        1.0,
        30,
        32,
        0,
    )
    mixed = WordVectors(tuple(names), rng.normal(size=(30, 6)).astype("f"))
    value = categorisation.categorisation(mixed, tmp_path / "x.txt", "x").value
    assert 1 / 3 < value < 0.8
    assert value == categorisation.categorisation(mixed, tmp_path / "x.txt", "x").value


def test_the_suite_finds_files_by_their_published_names(tmp_path):
    (tmp_path / "SimVerb-3500.txt").write_text("take\tremove\tV\t6.81\tSYNONYMS\n")
    (tmp_path / "MEN").mkdir()
    (tmp_path / "MEN" / "MEN_dataset_natural_form_full").write_text("sun sunlight 50.0\n")
    (tmp_path / "rg65.csv.gz").write_bytes(gzip.compress(b"cord;smile;0.02\n"))
    (tmp_path / "BATS_3.0").mkdir()
    (tmp_path / "SimLex-999").mkdir()
    (tmp_path / "SimLex-999" / "SimLex-999.txt").write_text("a b 1\n")
    found = suites.files(str(tmp_path))
    names = {name: path.name for name, path in found.items()}
    assert names["simverb3500"] == "SimVerb-3500.txt" and names["rg65"] == "rg65.csv.gz"
    assert found["simlex999"].is_file()
    assert names["men"] == "MEN_dataset_natural_form_full" and names["bats"] == "BATS_3.0"
    assert {"wordsim353", "google_analogies"} < set(names) and "bless" not in names
    assert list(found) == [name for name in suites.SUITES if name in found]
    for name in ("simverb3500", "rg65", "men"):
        assert len(judgements.pairs(found[name])) == 1
    with pytest.raises(UserError, match=r"`suite_dir=.*none`: is not a folder"):
        suites.files(str(tmp_path / "none"))


def test_sets_that_a_package_carries_are_whole():
    sizes = {"men": 3000, "rarewords": 2034, "mturk287": 287, "msr_analogies": 8000}
    found = {name: path for name, path in suites.files().items() if name in sizes}
    if not found:
        pytest.skip("svd2vec is not installed")
    for name, path in found.items():
        kind = suites.SUITES[name].kind
        items = judgements.pairs(path) if kind == suites.PAIRS else judgements.analogies(path)[1]
        assert len(items) == sizes[name]


def test_a_zip_is_read_where_it_holds_one_file(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.txt", "a b 1\n")
        archive.writestr("b.txt", "a b 2\n")
    with pytest.raises(UserError, match=r"x.zip: name one of its files, as .*x.zip/NAME: a.txt, b"):
        judgements.pairs(tmp_path / "x.zip")
    assert judgements.pairs(tmp_path / "x.zip" / "b.txt") == (("a", "b", 2.0),)
