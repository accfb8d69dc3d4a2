"""The printed loss: a ratio of sums, and the interval that the sample of each step allows."""

import numpy as np
import pytest

from experiments.runs.metrics import MetricAccumulator, loss_error, mean_loss
from w2v_jax.training import Report
from w2v_jax.types import Metrics
from w2v_jax.visits import Position

BLOCKS, SHARE = 64, 1 / 8  # blocks a step, of which so many are measured


def texts(rng, steps):
    """Loss and positives [steps, BLOCKS]; blocks differ in how many there are and how hard."""
    positives = rng.poisson(40, (steps, BLOCKS)).astype(float)
    return positives * rng.normal(2, 0.6, positives.shape), positives


def sampled(loss, positives, share=SHARE):
    """The sums of Metrics, of the first blocks of each step."""
    first = slice(0, round(BLOCKS * share))
    loss, positives = loss[:, first].sum(axis=1), positives[:, first].sum(axis=1)
    squares = [np.sum(x) for x in (loss * loss, loss * positives, positives * positives)]
    ratio = loss.sum(), positives.sum(), loss.sum(), 0
    return np.array([*ratio, len(loss), *np.multiply(squares, 1 - share)])


@pytest.mark.parametrize("steps", [3, 10, 100])
def test_the_interval_covers_the_mean_of_all_positives(steps):
    """Coverage of 95% intervals in 2,000 simulations of the whole text: within .93 and .97."""
    rng, inside = np.random.default_rng(0), 0
    for _ in range(2000):
        loss, positives = texts(rng, steps)
        sums = sampled(loss, positives)
        inside += abs(mean_loss(sums) - loss.sum() / positives.sum()) <= loss_error(sums)
    assert 0.93 <= inside / 2000 <= 0.97


def test_what_is_measured_as_a_whole_is_known_and_of_one_step_nothing():
    rng = np.random.default_rng(1)
    assert loss_error(sampled(*texts(rng, 5), share=1)) == 0
    assert loss_error(sampled(*texts(rng, 1), share=1)) == 0
    assert loss_error(sampled(*texts(rng, 1))) is None
    assert loss_error(np.zeros(len(Metrics._fields))) is None
    assert loss_error(sampled(np.full((4, BLOCKS), 6.0), np.full((4, BLOCKS), 3.0))) < 1e-7


def report(epoch, sums):
    return Report(1, epoch, 10, Metrics(*sums), 0.1, Position())


def test_lines_have_their_own_interval_and_the_end_that_of_the_last_epoch():
    rng = np.random.default_rng(2)
    parts = [sampled(*texts(rng, steps)) for steps in (7, 5, 9)]
    book = MetricAccumulator("none", 0.0)
    lines = [
        book.line(report(epoch, sums), 1.0) for epoch, sums in zip((1, 2, 2), parts, strict=True)
    ]
    assert [line["loss_error"] for line in lines] == [loss_error(sums) for sums in parts]
    assert book.final_loss_error() == loss_error(parts[1] + parts[2])
    assert book.final_loss() == mean_loss(parts[1] + parts[2])


def test_an_older_versions_sums_go_on_without_an_interval():
    rng, book = np.random.default_rng(3), MetricAccumulator("none", 0.0)
    first, second = (sampled(*texts(rng, 4)) for _ in range(2))
    book.line(report(1, first), 1.0)
    saved = book.saved(2.0)
    old = {key: value[:4] if key.endswith("sums") else value for key, value in saved.items()}
    for kept, error in ((saved, loss_error(first + second)), (old, None)):
        book = MetricAccumulator("none", 0.0, kept)
        line = book.line(report(1, second), 3.0)
        assert line["loss_error"] == loss_error(second)
        assert book.final_loss() == mean_loss(first + second) and book.final_loss_error() == error
