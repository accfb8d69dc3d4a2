"""The study of replicas: its table is what its lines say; what is no point is refused."""

import numpy as np
import pytest
from absl import flags

from experiments.benchmarks import replicas
from experiments.benchmarks.child_process import Child
from experiments.benchmarks.curves import draw_differences
from experiments.benchmarks.replicas import Point
from w2v_jax.types import UserError

ONE, TWO = Point(1, 0, 1.2), Point(2, 500, 1.7)


def line(point, seed, value):
    measures = dict(wordsim353=value, simlex999=value / 2, analogies=None)
    return {**point._asdict(), "seed": seed, "train_sec": 10.0 * seed, **measures}


LINES = [line(ONE, s, 0.6 + 0.01 * s) for s in (1, 2, 3)]
LINES += [line(TWO, s, 0.6 + 0.01 * s + gap) for s, gap in ((1, -0.02), (2, 0.01), (3, 0.04))]


def test_differences_are_paired_by_seed():
    mean, half = replicas.differences(LINES, [ONE, TWO])[TWO]["wordsim353"]
    gaps = np.array([-0.02, 0.01, 0.04])
    assert mean == pytest.approx(gaps.mean())
    assert half == pytest.approx(4.302653 * gaps.std(ddof=1) / np.sqrt(3), rel=1e-5)
    assert "analogies" not in replicas.differences(LINES, [ONE, TWO])[TWO]


def test_a_points_flags_win_over_a_flagfiles(tmp_path, monkeypatch):
    """A CBOW study with --train_flags=--flagfile=.. had the flagfile's rate at every point."""
    seen = []

    def run(argv, log, threads):
        seen.append(argv)
        return Child(1, 0.0, 0.0, "")

    monkeypatch.setattr(replicas.child_process, "run", run)
    values = flags.FlagValues()
    flags.DEFINE_list("train_flags", ["--flagfile=f.cfg"], "", flag_values=values)
    flags.DEFINE_string("corpus", "t.txt", "", flag_values=values)
    flags.DEFINE_integer("processes", 1, "", flag_values=values)
    values.mark_as_parsed()
    monkeypatch.setattr(replicas.flags, "FLAGS", values)
    with pytest.raises(UserError):
        replicas._measured(TWO, 3, tmp_path)
    ((_, _, _, first, *rest),) = seen
    assert first == "--flagfile=f.cfg" and {*replicas.of_point(TWO), "--seed=3"} < set(rest)


def test_the_table_has_a_line_a_point_and_the_picture_is_drawn(tmp_path):
    told = replicas.table(LINES, [ONE, TWO])
    assert "| 2 | 500 |  1.7 |    3 | 20.0 (10.0 to 30.0) |" in told
    assert "+0.010 ± 0.075" in told
    gaps = replicas.differences(LINES, [ONE, TWO])
    draw_differences(tmp_path / "replicas.png", gaps, replicas.NAMES)
    assert (tmp_path / "replicas.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "text", ["2:500", "0:1:1", "2:-1:1", "2:5:0", "2:5:inf", "a:b:c", "2:5:1:1"]
)
def test_what_is_no_point_is_refused(text):
    with pytest.raises(UserError, match=f"--points={text}: not R:n:rate"):
        replicas.point_of(text)
