"""A sweep's figures as CSV, JSON and LaTeX: those of table.md, for other programs."""

import csv
import io
import json

import pytest
from scripts import QUICK, start, text_of

from experiments.report import stats
from experiments.sweeps import table_files


def line(number, dim, seed, loss, spearman):
    return {
        **{"member": number, "setting": {"dim": dim}, "seed": seed, "frozen_step": None},
        **{"heldout_loss": loss, "wordsim353_spearman": spearman, "coverage": {}},
    }


LINES = [
    *(line(i, 10, i, 2.0 + 0.01 * i, 0.3 + 0.01 * i) for i in range(1, 5)),
    *(line(i + 4, 20, i, 1.9 + 0.012 * i, 0.35 + 0.012 * i) for i in range(1, 5)),
]
SETTINGS = {"axes": {"dim": [10, 20]}, "base": {"dim": 10}, "design": "grid", "flags": "--a=1"}


def test_rows_have_the_figures_of_their_sample():
    rows = table_files.rows(LINES, {}, SETTINGS)
    assert [(row["dim"], row["measure"]) for row in rows] == [
        *((10, "heldout_loss"), (10, "wordsim353_spearman")),
        *((20, "heldout_loss"), (20, "wordsim353_spearman")),
    ]
    base, _, other, _ = rows
    assert base["difference"] is None and base["seeds"] == 4
    assert base["mean"] == pytest.approx(2.025) and other["mean"] == pytest.approx(1.93)
    paired = stats.over_seeds([-0.1 + 0.002 * i for i in range(1, 5)])
    assert other["difference"] == pytest.approx(paired.mean)
    assert other["difference_half"] == pytest.approx(paired.half)
    assert other["p"] == pytest.approx(paired.p) == other["p_holm"]


def test_csv_and_json_hold_the_rows():
    rows = table_files.rows(LINES, {}, SETTINGS)
    found = list(csv.DictReader(io.StringIO(table_files.as_csv(rows))))
    assert [float(row["mean"]) for row in found] == [row["mean"] for row in rows]
    assert found[0]["difference"] == ""
    whole = json.loads(table_files.as_json(rows, SETTINGS))
    assert whole["rows"] == rows and whole["flags"] == "--a=1"


def test_latex_is_a_tabular_with_escaped_names():
    settings = {**SETTINGS, "axes": {"noise_power": [10, 20]}, "base": {"noise_power": 10}}
    lines = [{**one, "setting": {"noise_power": one["setting"]["dim"]}} for one in LINES]
    text = table_files.as_latex(lines, {}, settings)
    assert text.startswith("\\begin{tabular}{lrr}\n\\toprule\nnoise\\_power & held-out loss &")
    assert "20 & $1.9300 \\pm " in text and "^{**}$" in text
    assert text.count("\\\\") == 3


def test_a_sweep_leaves_them_and_pictures_in_each_format(tmp_path, capsys):
    (tmp_path / "text.txt").write_text(text_of())
    out = tmp_path / "out"
    args = [*QUICK, f"--corpus={tmp_path / 'text.txt'}", f"--heldout={tmp_path / 'text.txt'}"]
    args += ["--sweep=learning_rate=0.1", "--seeds=3", "--plots", "--picture_formats=png,svg,pdf"]
    assert start("ptb_ablation", *args, f"--workdir={out}") == 0
    for name, begins in (
        *(("table.csv", b"learning_rate,measure"), ("table.json", b"{")),
        *(("table.tex", b"\\begin{tabular}"), ("ablation.svg", b"<?xml")),
        *(("ablation.pdf", b"%PDF"), ("ablation.png", b"\x89PNG")),
    ):
        assert (out / name).read_bytes().startswith(begins), name
    (out / "table.csv").unlink()
    assert start("ablation_report", f"--workdir={out}", "--picture_formats=jpg") == 1
    assert "--picture_formats=jpg: not one of png, svg, pdf" in capsys.readouterr().err
    assert start("ablation_report", f"--workdir={out}", "--picture_formats=svg") == 0
    assert (out / "table.csv").exists()


def test_a_run_draws_in_each_format(tmp_path):
    (tmp_path / "text.txt").write_text(text_of())
    args = [*QUICK, f"--corpus={tmp_path / 'text.txt'}", f"--workdir={tmp_path / 'out'}", "--plots"]
    assert start("ptb_skipgram", *args, "--picture_formats=pdf,svg") == 0
    names = {path.name for path in (tmp_path / "out" / "plots").iterdir()}
    assert names == {"loss.pdf", "loss.svg", "embedding.pdf", "embedding.svg"}
