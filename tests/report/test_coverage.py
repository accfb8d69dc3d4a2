"""95% intervals cover what they say: simulations that draw seeds, or seeds and items, anew."""

import numpy as np
import pytest
from scipy.stats import norm, rankdata

from experiments.report import over_items, stats

SIMULATIONS = 2000
SEEDS = (3, 5, 10)
MOST = max(SEEDS)


def check(estimates, truth):
    """n -> estimates of n seeds: their intervals cover the truth in .93 to .97 of all.

    Within two standard errors of a share of so many.
    """
    for n in SEEDS:
        found = estimates(n)
        covered = np.mean([abs(e.mean - truth) <= e.half for e in found])
        ends = [p + k * np.sqrt(p * (1 - p) / len(found)) for p, k in ((0.93, -2), (0.97, 2))]
        print(f"{n} seeds: {covered:.3f}")
        assert len(found) == SIMULATIONS and ends[0] <= covered <= ends[1], f"{n}: {covered:.3f}"


# Over seeds alone


def repeated(draw):
    random = np.random.default_rng(15)
    return lambda n: [draw(random, n) for _ in range(SIMULATIONS)]


def test_a_mean_over_seeds():
    check(repeated(lambda random, n: stats.over_seeds(random.normal(0.3, 0.02, n))), 0.3)


def test_a_paired_difference_over_seeds():
    def draw(random, n):
        luck = random.normal(0, 0.05, n)
        ours, base = (dict(enumerate(luck + random.normal(m, 0.01, n))) for m in (0.35, 0.3))
        return stats.difference(ours, base)

    check(repeated(draw), 0.05)


@pytest.mark.parametrize("ratio", [1, 3])
def test_a_difference_of_other_seeds(ratio):
    def draw(random, n):
        return stats.welch(random.normal(0.35, 0.02, n), random.normal(0.3, 0.02 * ratio, n))

    check(repeated(draw), 0.05)


# Over seeds and items. A simulation is figures [3, MOST], of two sides that share their seeds and
# one that doesn't, and the Items of all of them in a row.


def check_both(simulations, truths):
    """A mean of one side, a difference that is paired over seeds, and one that is not (Welch)."""

    def estimates(n, *sides):
        seeds = [range(100 * (side > 1), 100 * (side > 1) + n) for side in sides]
        trials_of_sides = [range(side * MOST, side * MOST + n) for side in sides]
        trials = [dict(zip(*of, strict=True)) for of in zip(seeds, trials_of_sides, strict=True)]
        found = []
        for figures, items in simulations:
            values = [figures[side, :n].tolist() for side in sides]
            of = [dict(zip(*x, strict=True)) for x in zip(seeds, values, strict=True)]
            alone = stats.difference(*of) if len(of) > 1 else stats.over_seeds(*values)
            found.append(over_items.with_items(alone, items, *trials))
        return found

    check(lambda n: estimates(n, 0), truths[0])
    check(lambda n: estimates(n, 0, 1), truths[0] - truths[1])
    check(lambda n: estimates(n, 0, 2), truths[0] - truths[2])


def with_items(figures, influences, shared):
    """figures [3, MOST], influences [3, MOST, N], and what is drawn together [N, N]."""
    flat = influences.reshape(3 * MOST, -1)
    every = over_items.covariance(flat, shared)
    return figures, over_items.Items(tuple(range(len(flat))), every, over_items.freedom(shared))


def word_pairs():
    """[100, 2], of 130 words; the most frequent one is in a tenth of them."""
    random, often = np.random.default_rng(353), 1 / np.arange(8, 138)
    words = random.choice(130, (100, 2), p=often / often.sum())
    words[words[:, 0] == words[:, 1], 1] += 1
    return words


@pytest.mark.slow
def test_correlations_of_word_pairs_that_share_words():
    """Cosines that follow people's scores; the rest is common to all runs, a side's, or a run's.

    Each part is a sum of effects of a pair's two words and its own. A run's correlation is spread
    about its side's. Spearman's rho of a bivariate normal law is 6 / pi arcsin(r / 2).
    """
    random, words, truths = np.random.default_rng(16), word_pairs(), (0.4, 0.3, 0.3)

    def effect(*shape):
        word = random.normal(size=(SIMULATIONS, *shape, words.max() + 1))
        pair = random.normal(size=(SIMULATIONS, *shape, len(words)))
        return 0.5 * word[..., words].sum(-1) + np.sqrt(0.5) * pair

    people, common, figures, influences = effect(), effect(1), [], []
    for mean in truths:
        r = 2 * np.sin(np.pi / 6 * random.normal(mean, 0.03, (SIMULATIONS, MOST, 1)))
        rest = np.sqrt(0.6) * common + np.sqrt(0.2) * effect(1) + np.sqrt(0.2) * effect(MOST)
        cosines = r * people[:, None] + np.sqrt(1 - r**2) * rest
        ranks = rankdata(cosines, axis=-1), rankdata(people, axis=-1)[:, None]
        figures.append(1 - 6 * np.sum((ranks[0] - ranks[1]) ** 2, -1) / (100 * (100**2 - 1)))
        of = zip(cosines, people, strict=True)
        influences.append([[over_items.correlation_influences(c, y) for c in x] for x, y in of])
    of, shared = (np.swapaxes(x, 0, 1) for x in (figures, influences)), over_items.together(words)
    check_both([with_items(*x, shared) for x in zip(*of, strict=True)], truths)


SECTIONS = np.array([0.3, 0.25, 0.2, 0.15, 0.1])  # shares of the word pairs
LEVELS = np.array([-0.6, 0.3, 0.0, 0.6, -0.3])  # some sections are easier


@pytest.mark.slow
def test_accuracies_of_analogies_that_share_word_pairs():
    """An analogy joins two of 60 word pairs, of one section; which is drawn for each pair.

    It is right where a sum of effects is positive: of its section, of the side, of its two pairs,
    of both together, of the seed, the seed with each pair, and the rest.
    """
    random, eases = np.random.default_rng(17), (-0.5, -0.6, -0.6)
    variance = 0.3 + 0.15 + 0.05 + 0.01 + 0.1 + 0.39
    chances = norm.cdf((LEVELS + np.array(eases)[:, None]) / np.sqrt(variance))
    simulations = []
    for _ in range(SIMULATIONS):
        section = random.choice(5, 60, p=SECTIONS)
        first, second = np.nonzero((section[:, None] == section) & ~np.eye(60, dtype=bool))

        def of_pairs(*shape, ends=(first, second)):
            each = random.normal(size=(*shape, 60))
            return sum(each[..., end] for end in ends) / np.sqrt(2)

        both = random.normal(size=(60, 60))
        effects = np.sqrt(0.3) * of_pairs() + np.sqrt(0.15 / 2) * (both + both.T)[first, second]
        effects = effects + np.sqrt(0.05) * of_pairs(3, 1) + np.sqrt(0.1) * of_pairs(3, MOST)
        effects += 0.1 * random.normal(size=(3, MOST, 1))
        effects += np.sqrt(0.39) * random.normal(size=effects.shape)
        right = effects + LEVELS[section[first]] + np.array(eases)[:, None, None] > 0
        figures = right.mean(axis=-1)
        influences = (right - figures[..., None]) / len(first)
        shared = over_items.together(np.stack([first, second], axis=1))
        simulations.append(with_items(figures, influences, shared))
    check_both(simulations, chances @ SECTIONS**2 / np.sum(SECTIONS**2))


@pytest.mark.slow
@pytest.mark.parametrize(("perplexity", "luck"), [(True, 0.02), (False, 0.3)])
def test_losses_and_perplexities_of_lines(perplexity, luck):
    """A line's loss has an effect of its article, its own, and of the seed (its luck) with it.

    Of both sides or of one; articles have three lines on the average. Lines count for more than
    seeds, or for less.
    """
    random, lines, means = np.random.default_rng(18), 360, np.array([2.4, 2.35, 2.35])
    simulations = []
    for _ in range(SIMULATIONS):
        article = np.cumsum(random.random(lines) < 1 / 3)
        weights = random.gamma(2, 10, lines)

        def of_articles(*shape, article=article):
            return random.normal(size=(*shape, lines))[..., article]

        line = 0.4 * of_articles() + 0.5 * random.normal(size=lines)
        line = line + 0.1 * of_articles(3, 1) + 0.1 * random.normal(size=(3, 1, lines))
        line = line + 0.2 * random.normal(size=(3, MOST, lines)) + means[:, None, None]
        line += luck * random.normal(size=(3, MOST, 1))
        sums = np.stack([line * weights, np.broadcast_to(weights, line.shape)], -1)
        influences = over_items.loss_influences(sums, perplexity)
        figures = line @ weights / weights.sum()
        shared = over_items.together(over_items.line_blocks(weights))
        figures = np.exp(figures) if perplexity else figures
        simulations.append(with_items(figures, influences, shared))
    check_both(simulations, np.exp(means + luck**2 / 2) if perplexity else means)
