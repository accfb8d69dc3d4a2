"""The model of scale: it finds what made its data, and its sums are those of a loop."""

import numpy as np
import pytest

from experiments.benchmarks.scaling import model
from experiments.benchmarks.scaling.model import Device, Link, Shape, Step, Text

SHAPES = [Shape(t, d, negatives=k) for t in (256, 4096) for d in (50, 100, 300) for k in (16, 128)]
TEXT = Text(words=1_000_000, steps=800, types=1_000, dim=10)
DEVICE = Device("a core", step=1e-3, draw=0.05, memory=1e10)
LINK = Link("a wire", latency=1e-3, bandwidth=1e9)


def test_the_parts_of_a_step_are_found_again():
    true = Step(latency=2e-5, products=1e-11, rows=3e-10, scores=2e-9)
    seconds = [float(model.counts(shape) @ np.array(true)) for shape in SHAPES]
    found, ratios = model.fit(SHAPES, seconds)
    np.testing.assert_allclose(found, true, rtol=1e-6)
    np.testing.assert_allclose(ratios, 1, rtol=1e-9)


def test_what_a_step_holds_is_counted_as_its_loops_would():
    shape = Shape(batch_size=64, dim=7, block=4, window=2, group_size=16, negatives=3)
    rows = 64 + sum(4 + 2 * 2 for _ in range(16)) + sum(3 for _ in range(4))
    scores = sum(4 * (4 + 2 * 2) for _ in range(16)) + 64 * 3
    one, operations, size, counted = model.counts(shape)
    assert (one, counted, size) == (1, scores, 2 * 4 * 7 * rows)
    assert operations == sum(3 * 2 * 7 for _ in range(scores))


def test_a_link_is_found_again():
    sizes = [100, 10_000, 1_000_000]
    link = model.fit_link("a wire", sizes, [2e-4 + size / 5e8 for size in sizes])
    assert (link.latency, link.bandwidth) == (pytest.approx(2e-4), pytest.approx(5e8))


@pytest.mark.parametrize("replicas", [2, 4, 8, 16])
def test_an_epoch_is_its_steps_and_its_meetings(replicas):
    seconds, rows = DEVICE.draw, TEXT.types
    tables = TEXT.bytes_of_tables
    for step in range(1, TEXT.steps // replicas + 1):
        seconds += DEVICE.step
        if step % 10 == 0:
            seconds += model.PASSES * tables / DEVICE.memory
            part = rows
            while part > rows / replicas:  # halves, there and back
                part /= 2
                seconds += 2 * (LINK.latency + part / rows * tables / LINK.bandwidth)
    assert model.epoch_seconds(TEXT, replicas, 10, DEVICE, LINK) == pytest.approx(seconds)


def test_one_replica_meets_nobody():
    expected = DEVICE.draw + TEXT.steps * DEVICE.step
    assert model.epoch_seconds(TEXT, 1, 10, DEVICE, LINK) == pytest.approx(expected)
