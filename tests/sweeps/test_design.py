"""--sweep and --configurations: what is varied, and what is refused."""

import math

import numpy as np
import pytest
from absl import flags

from experiments.cli import config
from experiments.sweeps import design
from w2v_jax.types import UserError


@pytest.fixture
def parsed():
    """(args) -> axes and settings of a command line."""
    before = set(flags.FLAGS)
    config.define_flags(model="skipgram")
    design.define_flags()

    def parse(*args):
        flags.FLAGS.unparse_flags()
        flags.FLAGS(["script", *map(str, args)])
        return design.settings(config.from_flags())

    yield parse
    for name in set(flags.FLAGS) - before:
        delattr(flags.FLAGS, name)


def test_a_grid_has_all_combinations(parsed):
    values, settings = parsed("--sweep=noise_power=0,0.75", "--sweep=negatives=2,5,10")
    assert values == {"noise_power": [0.75, 0.0], "negatives": [5, 2, 10]}
    assert [tuple(s.values()) for s in settings] == [
        (0.75, 5),  # the baseline, once
        *((0.0, 2), (0.0, 5), (0.0, 10)),
        *((0.75, 2), (0.75, 10)),
    ]
    assert all(type(s["negatives"]) is int for s in settings)


def test_one_axis_at_a_time_begins_with_the_baseline_and_has_it_once(parsed):
    values, settings = parsed(
        "--sweep=window=2,5",
        "--sweep=model=cbow,skipgram",
        "--sweep=dynamic_window=false",
        "--design=axes",
    )
    assert settings == [
        {"window": 5, "model": "skipgram", "dynamic_window": True},
        {"window": 2, "model": "skipgram", "dynamic_window": True},
        {"window": 5, "model": "cbow", "dynamic_window": True},
        {"window": 5, "model": "skipgram", "dynamic_window": False},
    ]
    assert values["dynamic_window"] == [True, False]


def test_seeds_alone_are_a_sweep(parsed):
    assert parsed("--seeds=3") == ({}, [{}])


def test_random_draws_follow_their_laws_and_the_seed(parsed):
    args = (
        "--design=random",
        "--points=400",
        "--sweep=learning_rate=log_uniform(0.01, 10)",
        "--sweep=noise_power=uniform(0,1)",
        "--sweep=window=uniform(1,9)",
        "--sweep=optimizer=sgd,adagrad",
    )
    _, settings = parsed(*args)
    rates = np.array([s["learning_rate"] for s in settings])
    assert rates.min() >= 0.01 and rates.max() <= 10
    logs = np.log10(rates)  # uniform on [-2, 1]: mean -0.5, sd 3 / sqrt(12)
    assert abs(logs.mean() + 0.5) < 4 * 3 / math.sqrt(12 * 400)
    powers = np.array([s["noise_power"] for s in settings])
    assert abs(powers.mean() - 0.5) < 4 / math.sqrt(12 * 400)
    assert {s["window"] for s in settings} == set(range(1, 10))
    assert 140 < sum(s["optimizer"] == "sgd" for s in settings) < 260
    assert parsed(*args)[1] == settings
    assert parsed(*args, "--draw_seed=1")[1] != settings


def test_a_file_lists_settings(parsed, tmp_path):
    path = tmp_path / "configurations.txt"
    path.write_text(
        "# ours\n--dim=50 --nodynamic_window\n\n--window=2 # narrow\n--dynamic_window\n"
    )
    _, settings = parsed(f"--configurations={path}")
    assert settings == [
        {"dim": 100, "dynamic_window": True, "window": 5},  # the baseline
        {"dim": 50, "dynamic_window": False, "window": 5},
        {"dim": 100, "dynamic_window": True, "window": 2},
    ]
    _, more = parsed(f"--configurations={path}", "--sweep=window=3,4")
    assert [s["window"] for s in more] == [5, 3, 4, 5, 2]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--seeds=1"], "one run: give --seeds"),
        (["--sweep=windo=1,2"], "no flag --windo"),
        (["--sweep=workdir=a,b"], "no flag --workdir that changes a result"),
        (["--sweep=seed=1,2"], "--seeds"),
        (["--sweep=min_count=1,2"], "share one text"),
        (["--sweep=window"], "NAME=VALUE"),
        (["--sweep=window=1,1"], "twice"),
        (["--sweep=window=1,2.5"], "whole number"),
        (["--sweep=window=0,2"], "1 to 1000"),
        (["--sweep=noise_power=0,nan"], "'nan' is not a number"),
        (["--sweep=noise_power=0,,1"], "'' is not a number"),
        (["--sweep=optimizer=adam,adamx"], "one of adam"),
        (["--sweep=dynamic_window=yes"], "true or false"),
        (["--sweep=window=1,2", "--sweep=window=3"], "given twice"),
        (["--sweep=learning_rate=log_uniform(.1,1)"], "--design=random"),
        (["--design=random", "--sweep=learning_rate=log_uniform(1,.1)"], "must rise"),
        (["--design=random", "--sweep=noise_power=log_uniform(0,1)"], "above 0"),
        (["--design=random", "--sweep=model=uniform(0,1)"], "not a number"),
        (["--design=random", "--sweep=window=uniform(0,5)"], "1 to 1000"),
        (["--sweep=noise=exclude_contexts", "--sweep=model=cbow"], "noise=exclude_contexts"),
        (["--configurations=/no/such/file"], "/no/such/file"),
    ],
)
def test_a_mistake_is_named(parsed, args, said):
    with pytest.raises(UserError) as caught:
        parsed(*args)
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no settings"),
        ("--dim=5\ndim=5", "line 2: 'dim=5'"),
        ("--seed=5", "--seeds"),
        ("--dim=x", "line 1: 'x' is not a number"),
        ("--nodim=5", "no flag --nodim"),
        ("--dim='5", "line 1"),
        ("\udcff", "not UTF-8"),
    ],
)
def test_a_mistake_in_a_file_is_named(parsed, tmp_path, text, said):
    path = tmp_path / "configurations.txt"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError) as caught:
        parsed(f"--configurations={path}")
    assert said in str(caught.value) and "\n" not in str(caught.value)
