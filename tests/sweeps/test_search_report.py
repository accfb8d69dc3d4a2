"""The best of two searches: halves of the pairs, the choice, the judgement."""

import hashlib
import json

import numpy as np
import pytest
from messages import told
from scipy import stats
from scripts import start

from experiments.sweeps import search_compare
from experiments.sweeps.search_compare import Half, Trial, chooses, halves, measured
from w2v_jax import resources
from w2v_jax.vectors import evaluation, judgements

pytest.importorskip("matplotlib")
if not resources.simlex999():
    pytest.skip("SimLex-999 is not installed", allow_module_level=True)
pytestmark = pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")

SIZES = {"wordsim353": 353, "simlex999": 999}
UNKNOWN = 50  # pairs of each file that no trial knows


@pytest.fixture(scope="module")
def two():
    """The choosing and the judging half of what the trials know."""
    return halves({name: np.arange(size) >= UNKNOWN for name, size in SIZES.items()})


def spearman(x, y):
    """By definition: rank by counting, ties at their mean."""

    def ranks(values):
        return [np.sum(values < v) + (np.sum(values == v) + 1) / 2 for v in values]

    a, b = np.array(ranks(x)), np.array(ranks(y))
    a, b = a - a.mean(), b - b.mean()
    return (a @ b) / np.sqrt((a @ a) * (b @ b))


def cosines_of(two, choosing, judging, seed):
    """Cosines that follow people's scores with these weights on the halves."""
    rng, found = np.random.default_rng(seed), {}
    for name, size in SIZES.items():
        people = two[0].people[name] / 10
        weight = np.where(two[0].used[name], choosing, judging)
        values = weight * people + (1 - np.abs(weight)) * rng.random(size)
        found[name] = np.where(np.arange(size) < UNKNOWN, np.nan, values)
    return found


def folder_of(path, trials, settings=None):
    """A folder of lines, given as (fields, cosines)."""
    (path / "items").mkdir(parents=True)
    lines = []
    for number, (fields, cosines) in enumerate(trials):
        lines.append({"member": number, "seed": 1, "frozen_step": None, **fields})
        answers = np.full(19544, -1, np.int8)
        np.savez(path / "items" / f"{number}.npz", **cosines, google_analogies=answers)
    (path / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if settings:
        (path / "settings.json").write_text(json.dumps(settings))
    return path


@pytest.fixture(scope="module")
def folders(two, tmp_path_factory):
    """Ours with flags and judges apart, gensim's with judges in its folder."""
    folder = tmp_path_factory.mktemp("searches")
    rates = [(0.2, 0.6, 0.1), (0.9, 0.4, 0.6), (0.5, 0.5, 0.9)]  # rate, choosing, judging

    def line(rate, seed):
        setting = {"learning_rate": rate}
        return {"setting": setting, "flags": f"--learning_rate={rate} --seed={seed}", "seed": seed}

    search = [(line(r, 1), cosines_of(two, c, j, i)) for i, (r, c, j) in enumerate(rates)]
    diverged = ({**line(3.0, 1), "frozen_step": 7}, cosines_of(two, 0.9, 0.9, 9))
    base = {"flags": "--dim=100\n--learning_rate=0.9\n--seed=1\n--window=5\n"}
    folder_of(folder / "ours", [*search, diverged], base)
    own = {"flags": "--dim=100\n--learning_rate=0.2\n--seed=1\n--window=5\n"}
    judges = [
        ({"setting": {}, "flags": f"--seed={s}", "seed": s}, cosines_of(two, 0.6, 0.3, s))
        for s in range(1, 5)
    ]
    folder_of(folder / "judge", judges, own)
    alphas = [(0.1, 0.2, 0.8), (0.05, 0.5, 0.2)]
    theirs = [
        ({"setting": {"alpha": a}, "role": "search"}, cosines_of(two, c, j, 20 + i))
        for i, (a, c, j) in enumerate(alphas)
    ]
    for i, alpha in enumerate((0.05, 0.1, 0.05, 0.05)):
        fields = {"setting": {"alpha": alpha}, "role": "judge", "seed": 2 + i}
        theirs.append((fields, cosines_of(two, 0.5, 0.2, 30 + i)))
    folder_of(folder / "gensim", theirs)
    return folder


def read(folder):
    return search_compare.read(
        {
            "ours": (str(folder / "ours"), str(folder / "judge")),
            "gensim": (str(folder / "gensim"), ""),
        }
    )


@pytest.mark.parametrize("name", evaluation.PAIR_SETS)
def test_halves_are_disjoint_and_cover_every_pair(name):
    choosing, judging = (half.used[name] for half in halves())
    assert len(choosing) == SIZES[name] and (choosing ^ judging).all()
    assert abs(choosing.mean() - 0.5) < 0.07
    pairs = judgements.pairs(evaluation.standard_file(name))
    for (a, b, _), mine in zip(pairs, choosing, strict=True):
        assert chooses(a, b) == chooses(b, a) == chooses(b.upper(), a.title()) == mine


def test_the_half_follows_from_the_hash():
    for pair in ("cat dog", "king queen", "tiger tiger", "car train", "a b"):
        even = int(hashlib.sha256(pair.encode()).hexdigest()[:2], 16) % 2 == 0
        assert chooses(*pair.split()[::-1]) == even


def test_measures_equal_the_definition_and_are_undefined_where_a_pair_is_missing(two):
    cosines = cosines_of(two, 0.4, 0.7, 5)
    cosines["simlex999"] = np.round(cosines["simlex999"], 1)  # ties
    for half in two:
        found = measured(cosines, half)
        for name, used in half.used.items():
            want = spearman(cosines[name][used], half.people[name][used])
            assert found[name] == pytest.approx(want, abs=1e-12)
        assert found["sum"] == pytest.approx(found["wordsim353"] + found["simlex999"])
    index = np.flatnonzero(two[1].used["simlex999"])[3]
    cosines["simlex999"][index] = np.nan
    assert np.isnan(measured(cosines, two[1])["sum"])
    assert np.isfinite(measured(cosines, two[0])["sum"])
    assert np.isnan(measured({**cosines, "wordsim353": np.ones(353)}, two[0])["sum"])


def test_the_choice_sees_the_choosing_half_alone(two):
    tried = [
        Trial({"seed": 1}, cosines_of(two, choosing, judging, seed), {"x": seed})
        for seed, (choosing, judging) in enumerate([(0.5, 0.1), (0.4, 0.9), (0.1, 0.5)])
    ]
    search = search_compare.choose(tried, [], *two)
    assert (search.best, int(np.argmax(search.judging))) == (0, 1)
    assert search_compare.choose(tried, [], *two[::-1]).best == 1
    for trial in tried:  # whatever the judging half holds
        for name, used in two[1].used.items():
            trial.cosines[name][used] = np.random.default_rng(0).random(used.sum())
    again = search_compare.choose(tried, [], *two)
    assert again.best == 0
    np.testing.assert_array_equal(again.choosing, search.choosing)


def test_diverged_trials_and_those_without_all_words_are_not_chosen(two):
    tried = [
        Trial({"seed": 1, "frozen_step": 3 if i == 0 else None}, cosines_of(two, w, w, i), {"x": i})
        for i, w in enumerate((0.9, 0.8, 0.3))
    ]
    tried[1].cosines["wordsim353"][two[0].used["wordsim353"]] = np.nan
    search = search_compare.choose(tried, [], *two)
    assert search.best == 2 and np.isnan(search.choosing[:2]).all()
    assert search_compare.choose(tried[:2], [], *two) is None


def test_judges_are_of_the_chosen_setting_with_seeds_of_their_own(folders):
    searches, judging = read(folders)
    assert [len(search.tried) for search in searches.values()] == [4, 2]
    assert [search.best for search in searches.values()] == [0, 1]
    assert [m.line["seed"] for m in searches["ours"].judges] == [2, 3, 4]
    assert [m.line["seed"] for m in searches["gensim"].judges] == [2, 4, 5]
    assert judging.used["wordsim353"].sum() == (~halves()[0].used["wordsim353"])[UNKNOWN:].sum()


def test_differences_equal_those_by_hand(folders, two):
    searches, judging = read(folders)
    sides = []
    for search in searches.values():
        used, people = judging.used, judging.people
        runs = [
            {n: spearman(m.cosines[n][used[n]], people[n][used[n]]) for n in used}
            for m in search.judges
        ]
        sides.append({n: np.array([run[n] for run in runs]) for n in used})
        sides[-1]["sum"] = sides[-1]["wordsim353"] + sides[-1]["simlex999"]
    for name, gap in search_compare.gaps(searches, judging).items():
        a, b = (side[name] for side in sides)
        expected = stats.ttest_ind(a, b, equal_var=False)
        low, high = expected.confidence_interval()
        assert gap.over_seeds.mean == gap.over_items.mean == pytest.approx(a.mean() - b.mean())
        assert gap.over_seeds.half == pytest.approx((high - low) / 2)
        assert gap.over_items.half >= gap.over_seeds.half
        width = 1 / np.sqrt(judging.used["wordsim353"].sum())  # of one rho's standard error
        assert gap.over_items.error < 3 * width


def test_the_sums_items_are_the_pairs_of_both_files(folders):
    """The variance of a sum: both files' and, as they share words, twice their covariance."""
    searches, judging = read(folders)
    runs = search_compare._numbered("ours", searches["ours"])
    items = search_compare._items(runs, judging)
    assert items["sum"].freedom > max(items[n].freedom for n in SIZES)
    parts = sum(items[n].covariance for n in SIZES)
    np.testing.assert_allclose(np.diag(items["sum"].covariance), np.diag(parts), rtol=0.5)
    words = {n: {*evaluation.standard_words()[n].ravel()} for n in SIZES}
    assert words["wordsim353"] & words["simlex999"]


def test_the_report_has_the_figures(folders, capsys):
    flags = [f"--{n}={folders / n}" for n in ("ours", "gensim")]
    out = folders / "report"
    judge = f"--ours_judge={folders / 'judge'}"
    assert start("search_report", *flags, judge, f"--workdir={out}") == 0
    text = (out / "report.md").read_text()
    assert text in capsys.readouterr().out
    assert (out / "search.png").read_bytes().startswith(b"\x89PNG")
    searches, judging = read(folders)
    rows = {
        cells[0]: cells[1:]
        for cells in ([c.strip() for c in row.split("|")[1:-1]] for row in text.splitlines())
        if cells
    }
    for name, search in searches.items():
        own = measured(search.tried[search.best].cosines, judging)
        title = search_compare.SEARCHES[name]
        assert rows[f"{title}, the search's trial"] == ["1", *(f"{v:.3f}" for v in own.values())]
        of = [measured(m.cosines, judging)["sum"] for m in search.judges]
        half = 4.302653 * np.std(of, ddof=1) / np.sqrt(3)
        assert rows[f"{title}, new seeds"][0] == "3"
        assert rows[f"{title}, new seeds"][3] == f"{np.mean(of):.3f} ± {half:.3f}"
    gap = search_compare.gaps(searches, judging)["sum"]
    alone = gap.over_seeds
    assert rows["± over seeds (Welch)"][2] == f"{alone.mean:+.3f} ± {alone.half:.3f}"
    assert rows["over items too"][2] == f"± {gap.over_items.half:.3f}"
    assert "w2v_jax: 4 trials (1 without a score" in text and "learning_rate=0.2" in text
    ours = text.split("## w2v_jax's best")[1].split("##")[0]
    ranked = [row.split("|")[1].strip() for row in ours.splitlines() if row.startswith("| ")]
    choosing = searches["ours"].choosing
    assert ranked[2:] == [*map(str, np.argsort(-choosing)[:3]), "median of 4"]


def test_without_judges_the_searches_own_runs_count(folders, two, tmp_path):
    trial = ({"setting": {"x": 1}, "role": "search"}, cosines_of(two, 0.5, 0.5, 1))
    other = ({"setting": {"x": 1}, "role": "search"}, cosines_of(two, 0.5, 0.1, 2))
    pairs = [("ours", trial), ("gensim", other)]
    flags = [f"--{name}={folder_of(tmp_path / name, [lone])}" for name, lone in pairs]
    assert start("search_report", *flags) == 0
    text = (tmp_path / "ours" / "report.md").read_text()
    assert "new seeds" not in text and "gensim was not trained again" in " ".join(text.split())
    assert "Fewer than three seeds decide nothing" in text and "over items too" not in text
    row = next(row for row in text.splitlines() if row.startswith("| difference"))
    half = Half(two[1].people, two[1].used)
    want = [measured(m[1], half)["sum"] for m in (trial, other)]
    assert row.split("|")[4].strip() == f"{want[0] - want[1]:+.3f}"


@pytest.mark.parametrize("fault", ["missing", "empty", "lines", "items", "judge", "judges_alone"])
def test_folders_without_results_are_refused_in_a_line(folders, two, tmp_path, fault, capsys):
    broken = tmp_path / "broken"
    lone = [({"setting": {"alpha": 1}, "role": "search"}, cosines_of(two, 0.5, 0.5, 1))]
    if fault == "judges_alone":
        lone[0][0]["role"] = "judge"
    if fault != "missing":
        folder_of(broken, lone)
    if fault == "empty":
        (broken / "results.jsonl").write_text('{"member": 0, "set')
    if fault == "lines":
        (broken / "results.jsonl").write_text("not JSON\n")
    if fault == "items":
        (broken / "items" / "0.npz").write_bytes(b"no archive")
    flag = "gensim_judge" if fault == "judge" else "gensim"
    args = {"ours": folders / "ours", "gensim": folders / "gensim", flag: broken}
    out = tmp_path / "out"
    given = [f"--{n}={path}" for n, path in args.items()]
    assert start("search_report", *given, f"--workdir={out}") == 1
    error = capsys.readouterr().err.strip()
    assert error.startswith(f"error: --{flag}={broken}: ") and "\n" not in error
    assert not (out / "report.md").exists()


def test_trials_of_another_vocabulary_are_refused(folders, two, tmp_path):
    cosines = cosines_of(two, 0.5, 0.5, 1)
    cosines["simlex999"][200:] = np.nan
    folder = folder_of(tmp_path / "few", [({"setting": {"alpha": 1}}, cosines)])
    with told(r"--gensim=[^ ]*: no trial knows"):
        search_compare.read({"ours": (str(folders / "ours"), ""), "gensim": (str(folder), "")})
