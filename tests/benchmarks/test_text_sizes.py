"""Defaults beside gensim's on texts of many sizes: the generated text, the measure, the table."""

import json
from pathlib import Path

import numpy as np
import pytest

from experiments.benchmarks import text_sizes
from experiments.report import item_files, stats
from w2v_jax.vectors.word_vectors import WordVectors


def test_the_text_of_ten_types_has_two_groups_that_share_no_line():
    lines = [line.split() for line in text_sizes.ten_types(5000).splitlines()]
    assert len(lines) == 500 and {len(line) for line in lines} == {10}
    assert sorted({word for line in lines for word in line}) == sorted("".join(text_sizes.GROUPS))
    assert all(len({word in text_sizes.GROUPS[0] for word in line}) == 1 for line in lines)


def test_groups_are_as_far_apart_as_the_worst_pairs_of_words():
    words = tuple("".join(text_sizes.GROUPS))
    angles = np.where(np.arange(10) < 5, 0.0, 90.0) + np.arange(10) % 5
    rows = np.stack([np.cos(np.radians(angles)), np.sin(np.radians(angles))], axis=1) * 3
    expected = np.cos(np.radians(4)) - np.cos(np.radians(86))
    assert text_sizes.apart(WordVectors(words, rows)) == pytest.approx(expected, abs=1e-6)


def lines(ours, theirs, **more):
    setting = {"subsample": 1e-3, "learning_rate": 1.2, "batch_size": 256.0, "epochs": 9.0}
    sides = ("w2v_jax", ours, setting), ("gensim", theirs, {})
    return [
        {"text": "text", "words": 1000, "model": "cbow", "program": program, "seed": seed}
        | {"wordsim353": value, "wordsim353_covered": 80, **own, **more}
        for program, values, own in sides
        for seed, value in enumerate(values, 1)
    ]


def test_the_table_has_welchs_interval_and_marks_what_leaves_out_0(tmp_path):
    told = text_sizes.table(lines([0.3, 0.32, 0.31], [0.1, 0.12, 0.11]), tmp_path)
    (row,) = [line for line in told.splitlines() if line.startswith("| 1,000 ")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells == [
        *("1,000", "cbow", "0.310 ± 0.025", "0.110 ± 0.025", "**+0.200 ± 0.023**"),
        *("80", "9", "256", "0.001"),
    ]
    told = text_sizes.table(lines([0.3, 0.5, 0.1], [0.1, 0.12, 0.11]), tmp_path)
    assert "+0.190 ± " in told and "**+" not in told


def test_items_widen_the_interval_and_what_is_too_few_is_left_out(tmp_path):
    draw = np.random.default_rng(0)
    for name in [f"{program}-{seed}" for program in text_sizes.PROGRAMS for seed in (1, 2, 3)]:
        (tmp_path / "1000-cbow").mkdir(exist_ok=True)
        items = {"wordsim353": np.where(np.arange(353) < 80, draw.normal(size=353), np.nan)}
        item_files.write(tmp_path / "1000-cbow", name, items)
    told = text_sizes.table(lines([0.25, 0.27, 0.26], [0.2, 0.22, 0.21]), tmp_path)
    (row,) = [line for line in told.splitlines() if line.startswith("| 1,000 ")]
    assert "+0.050 ± 0.023 (0." in row and "**" not in row
    assert "1,000" not in text_sizes.table(lines([None] * 3, [None] * 3), tmp_path)


def test_what_was_measured_is_at_no_size_behind_gensim_by_more_than_chance():
    path = Path(text_sizes.__file__).parents[1] / "results" / "text_sizes" / "results.jsonl"
    found = [json.loads(line) for line in path.read_text().splitlines()]
    compared = 0
    for words, model in {(line["words"], line["model"]) for line in found}:
        for field in text_sizes.NAMES:
            ours, theirs = (
                [
                    line[field]
                    for line in found
                    if (line["words"], line["model"]) == (words, model)
                    and line["program"] == program
                    and line.get(field) is not None
                ]
                for program in text_sizes.PROGRAMS
            )
            if min(len(ours), len(theirs)) >= stats.MIN_SEEDS:
                estimate = stats.welch(ours, theirs)
                assert estimate.mean + estimate.half > 0, (words, model, field)
                compared += 1
    assert compared >= 30
