"""Influences against numerical derivatives, covariances against loops, items drawn together."""

import numpy as np
import pytest
from scipy import stats

from experiments.report import item_files, over_items
from experiments.report import stats as paired
from w2v_jax.types import UserError
from w2v_jax.vectors import evaluation


def derivative(measure, n, step=1e-5):
    """Of a function of the items' weights [n], in each weight at 1, by central differences."""
    found = []
    for i in range(n):
        move = step * (np.arange(n) == i)
        found.append((measure(1 + move) - measure(1 - move)) / (2 * step))
    return np.array(found)


def weighted_rho(x, y, weights):
    """Spearman's rho where item i occurs weights[i] times: correlation of the mid-ranks."""

    def ranks(values):
        below = (values[:, None] > values) + (values[:, None] == values) / 2
        return below @ weights

    a, b = ranks(x), ranks(y)
    a, b = (v - np.average(v, weights=weights) for v in (a, b))
    return (weights @ (a * b)) / np.sqrt((weights @ a**2) * (weights @ b**2))


@pytest.mark.parametrize("digits", [9, 0])  # without and with ties
def test_influences_on_spearmans_rho_are_its_derivatives_in_the_weights(digits):
    draw = np.random.default_rng(0)
    people = draw.normal(0, 2, 40).round(digits)
    cosines = (people + draw.normal(0, 2, 40)).round(digits)
    assert weighted_rho(cosines, people, np.ones(40)) == pytest.approx(
        stats.spearmanr(cosines, people).statistic
    )
    found = over_items.correlation_influences(cosines, people)
    expected = derivative(lambda w: weighted_rho(cosines, people, w), 40)
    np.testing.assert_allclose(found, expected, atol=1e-8)
    assert np.sum(found) == pytest.approx(0, abs=1e-12)
    cosines = np.insert(cosines, [0, 17], np.nan)
    with_unknown = over_items.correlation_influences(cosines, np.insert(people, [0, 17], 5.0))
    np.testing.assert_array_equal(with_unknown, np.insert(found, [0, 17], 0))


def test_undefined_correlations_have_no_influences():
    for cosines in (np.full(5, np.nan), np.ones(5), np.array([1.0, *[np.nan] * 4])):
        assert not over_items.correlation_influences(cosines, np.arange(5.0)).any()
    assert not over_items.correlation_influences(np.arange(5.0), np.ones(5)).any()


def test_influences_on_accuracy_and_loss_are_their_derivatives_in_the_weights():
    draw = np.random.default_rng(1)
    answers = draw.integers(-1, 2, 30).astype(np.int8)

    def accuracy(weights):
        return weights @ (answers == 1) / (weights @ (answers >= 0))

    found = over_items.accuracy_influences(answers)
    np.testing.assert_allclose(found, derivative(accuracy, 30), atol=1e-8)
    assert not over_items.accuracy_influences(np.full(3, -1)).any()
    sums = np.stack([draw.gamma(3, 1, 30), draw.gamma(2, 1, 30)], axis=1)

    def mean(weights):
        return weights @ sums[:, 0] / (weights @ sums[:, 1])

    found = over_items.loss_influences(sums)
    np.testing.assert_allclose(found, derivative(mean, 30), atol=1e-8)
    found = over_items.loss_influences(sums, perplexity=True)
    np.testing.assert_allclose(found, derivative(lambda w: np.exp(mean(w)), 30), atol=1e-7)
    np.testing.assert_array_equal(
        over_items.loss_influences(np.stack([sums] * 2), True), [found] * 2
    )


GROUPS = np.array([[0, 1], [1, 2], [7, 7], [2, 0], [3, 4], [4, 9]])


def test_items_are_drawn_together_where_they_share_a_group():
    shared = over_items.together(GROUPS).toarray()
    for i, one in enumerate(GROUPS):
        for j, other in enumerate(GROUPS):
            assert shared[i, j] == bool({*one} & {*other})
    assert over_items.freedom(over_items.together(np.arange(12)[:, None] // 3)) == 12 / 3 - 1


def test_lines_are_drawn_in_blocks_of_about_equal_weight():
    weights = np.random.default_rng(1).gamma(1, 20, 3000)
    blocks = over_items.line_blocks(weights)[:, 0]
    assert (np.diff(blocks) >= 0).all() and set(blocks) == set(range(over_items.BLOCKS))
    shares = np.bincount(blocks, weights) / weights.sum() * over_items.BLOCKS
    assert np.abs(shares - 1).max() < 0.2
    assert over_items.line_blocks(np.array([3.0, 4.0, 5.0])).size == 3  # each one its own
    assert len(set(over_items.line_blocks(np.array([3.0, 4.0, 5.0])).ravel())) == 3
    assert over_items.line_blocks(np.array([5.0, 0.0])).max() < over_items.BLOCKS


@pytest.mark.filterwarnings("error")
def test_a_run_of_infinite_loss_leaves_the_others_as_they_are():
    sums = np.ones((4, 6, 2)) + np.random.default_rng(2).random((4, 6, 2))
    for value in (np.inf, 1e6):  # whose perplexity alone is infinite
        sums[3, 2, 0] = value
        every, few = (over_items.measured(trials(sums[:n])) for n in (4, 3))
        for name, items in few.items():
            np.testing.assert_allclose(every[name].covariance[:3, :3], items.covariance)


def trials(sums):
    return {i: {"heldout_loss": x, "perplexity": x} for i, x in enumerate(sums)}


def test_a_covariance_sums_over_items_that_are_drawn_together():
    influences = np.random.default_rng(2).normal(size=(3, 6))
    found = over_items.of_trials(dict(zip("abc", influences, strict=True)), GROUPS)
    expected = np.zeros((3, 3))
    with_one = [[j for j in range(6) if {*GROUPS[i]} & {*GROUPS[j]}] for i in range(6)]
    for i in range(6):
        for j in with_one[i]:
            left = (1 - len(with_one[i]) / 6) * (1 - len(with_one[j]) / 6)
            expected += np.outer(influences[:, i], influences[:, j]) / left
    np.testing.assert_allclose(found.covariance, expected)
    assert found.trials == ("a", "b", "c")
    assert found.freedom == 36 / sum(map(len, with_one)) - 1


def test_of_means_it_is_the_crossed_analysis_of_variance():
    """Seeds x items with one value each: (MS_seeds + MS_items - MS_rest) / (n N), Searle 1971."""
    n, count = 4, 50
    draw = np.random.default_rng(3)
    values = draw.normal(size=(n, 1)) + 3 * draw.normal(size=count) + draw.normal(size=(n, count))
    means = values.mean(axis=1)
    influences = (values - means[:, None]) / count
    items = over_items.of_trials(dict(enumerate(influences)), np.arange(count)[:, None])
    wide = over_items.with_items(paired.over_seeds(means), items, {s: s for s in range(n)})
    grand, of_items = values.mean(), values.mean(axis=0)
    seeds = count * np.sum((means - grand) ** 2) / (n - 1)
    each = n * np.sum((of_items - grand) ** 2) / (count - 1)
    rest = values - means[:, None] - of_items + grand
    rest = np.sum(rest**2) / ((n - 1) * (count - 1))
    jackknife = count / (count - 1)
    expected = seeds / (n * count) + jackknife * (each - rest) / (n * count)
    assert wide.error**2 == pytest.approx(expected)
    assert wide.narrower.error**2 == pytest.approx(seeds / (n * count))


def estimates(ours, base, paired_seeds=True):
    """Of influences [n, N] of two sides."""
    n = len(ours)
    items = over_items.of_trials(dict(enumerate([*ours, *base])), np.arange(ours.shape[1])[:, None])
    sides = [{s: float(s) for s in range(n)}, {s: 0.0 for s in range(n)}]
    trials = [{s: s for s in range(n)}, {s: n + s for s in range(n)}]
    if not paired_seeds:
        sides[1], trials[1] = ({s + 100: v for s, v in of.items()} for of in (sides[1], trials[1]))
    return over_items.with_items(paired.difference(*sides), items, *trials)


def test_what_both_sides_have_in_common_is_no_part_of_a_difference():
    draw = np.random.default_rng(4)
    common, own = draw.normal(size=(1, 80)), 1e-3 * draw.normal(size=(4, 80))
    for shared in (True, False):
        same = estimates(common + own, common - own, shared)
        assert same.error == pytest.approx(same.narrower.error, rel=1e-3)
        apart = estimates(common + own, 2 * common - own, shared)
        expected = over_items.covariance(common, over_items.together(np.arange(80)[:, None]))[0, 0]
        assert apart.error**2 - apart.narrower.error**2 == pytest.approx(expected, rel=0.01)


def test_what_a_run_has_alone_is_in_the_variance_over_seeds_already():
    """Items that each run answers anew add nothing on the average, before the cut at 0."""
    draw, found = np.random.default_rng(5), []
    for _ in range(400):
        influences = draw.normal(size=(3, 30))
        shared = over_items.together(np.arange(30)[:, None])
        covariance = over_items.covariance(influences - influences.mean(1, keepdims=True), shared)
        found.append((covariance.sum() - np.trace(covariance)) / 6)
    assert abs(np.mean(found)) < 3 * stats.sem(found)


def test_there_is_no_estimate_without_items_or_for_few_seeds():
    items = over_items.of_trials(
        dict(enumerate(np.random.default_rng(6).normal(size=(4, 9)))), np.arange(9)[:, None]
    )
    three, trials = paired.over_seeds([1.0, 2.0, 4.0]), {1: 0, 2: 1, 3: 2}
    assert over_items.with_items(three, items, trials).half >= three.half
    assert over_items.with_items(three, None, trials) is None
    assert over_items.with_items(three, items, {**trials, 4: 99}) is None
    two = paired.over_seeds([1.0, 2.0])
    assert over_items.with_items(two, items, {1: 0, 2: 1}) is None
    one_group = over_items.of_trials({i: np.ones(4) for i in range(3)}, np.zeros((4, 1)))
    assert over_items.with_items(three, one_group, trials).half == np.inf
    nothing = over_items.of_trials({i: np.zeros(4) for i in range(3)}, np.zeros((4, 1)))
    assert over_items.with_items(three, nothing, trials).p == 1


def test_seeds_of_one_side_alone_are_left_out_of_a_paired_difference():
    draw = np.random.default_rng(7)
    influences = dict(enumerate(draw.normal(size=(8, 20))))
    items = over_items.of_trials(influences, np.arange(20)[:, None])
    ours, base = {s: s for s in range(4)}, {s: s + 4 for s in range(1, 4)}
    estimate = paired.difference({s: float(s) for s in ours}, {s: 0.5 for s in base})
    assert over_items.with_items(estimate, items, ours, base) == over_items.with_items(
        estimate, items, {s: s for s in range(1, 4)}, base
    )


def made_up(draw, lines=8):
    """A trial's items; without the standard files' where they are not installed."""
    sums = np.stack([draw.gamma(3, 1, lines), np.ones(lines)], axis=1)
    return {"heldout_loss": sums, "perplexity": sums * 2}


def test_items_of_a_folder_are_kept_for_when_their_files_are_gone(tmp_path):
    draw, trials = np.random.default_rng(8), [4, 0, 11]
    assert item_files.of_folder(tmp_path, trials) == {}
    for trial in trials:
        item_files.write(tmp_path, trial, made_up(draw))
    first = item_files.of_folder(tmp_path, trials)
    assert list(first) == ["heldout_loss", "perplexity"]
    for path in (tmp_path / item_files.ITEMS).iterdir():
        path.unlink()
    again = item_files.of_folder(tmp_path, trials)
    for name, items in first.items():
        assert items.trials == again[name].trials == (4, 0, 11)
        assert items.freedom == again[name].freedom
        np.testing.assert_array_equal(items.covariance, again[name].covariance)
    for content in (b"", b"PK\x03\x04", b"\x93NUMPY"):
        (tmp_path / item_files.OVER_ITEMS).write_bytes(content)
        with pytest.raises(UserError, match=r"over_items\.npz: damaged"):
            item_files.of_folder(tmp_path, trials)


def test_measures_of_the_standard_files_are_those_of_the_evaluation():
    pytest.importorskip("gensim")
    draw, people = np.random.default_rng(9), evaluation.standard_people()
    trials = {}
    for trial in range(2):
        cosines = {name: draw.normal(size=len(of)) for name, of in people.items()}
        cosines["wordsim353"][:100] = np.nan
        answers = draw.integers(-1, 2, 19544).astype(np.int8)
        trials[trial] = cosines | {"google_analogies": answers} | made_up(draw)
    found = over_items.measured(trials)
    assert list(found) == list(trials[0])
    words = evaluation.standard_words()["wordsim353"][100:]
    of = {
        m: over_items.correlation_influences(x["wordsim353"][100:], people["wordsim353"][100:])
        for m, x in trials.items()
    }
    expected = over_items.of_trials(of, words)
    np.testing.assert_allclose(found["wordsim353"].covariance, expected.covariance)
    assert found["wordsim353"].freedom == expected.freedom < 253 / 3
    assert found["google_analogies"].freedom < 300 < found["simlex999"].freedom + 300
