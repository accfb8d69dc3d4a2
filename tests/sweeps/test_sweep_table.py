"""A sweep's tables by exact strings: bold, marks, the baseline, what diverged, one seed."""

import numpy as np
import pytest
from scipy import stats

from experiments.report import over_items
from experiments.report import stats as paired
from experiments.sweeps import compare
from experiments.sweeps import table as sweep_table
from w2v_jax.vectors import evaluation

FIELDS = ("heldout_loss", "perplexity", "wordsim353_spearman")


def trial(n, setting, seed, *figures, frozen=None):
    """A line of results.jsonl."""
    line = {"member": n, "setting": setting, "seed": seed, "frozen_step": frozen}
    line |= {"simlex999_spearman": None, "google_analogies_accuracy": None, "stopped_epoch": None}
    return line | dict(zip(FIELDS, figures, strict=True))


def swept(axis, figures, extra=None):
    """Lines of one axis: value -> the seeds' (heldout_loss, perplexity, wordsim353)."""
    lines = []
    for value, seeds in figures.items():
        for seed, of in enumerate(seeds, 1):
            lines.append(trial(len(lines), {axis: value, **(extra or {})}, seed, *of))
    return lines


def settings(design="axes", **base):
    return {"design": design, "base": base, "axes": {name: [] for name in base}, "seeds": 3}


DIM = {
    100: [(2.3, 3000, 0.30), (2.4, 3100, 0.32), (2.5, 3050, 0.31)],
    50: [(2.4, 3500, 0.10), (2.55, 3610, 0.121), (2.7, 3555, 0.109)],
    200: [(2.21, 1000.4, 0.31), (2.27, 1100, 0.30), (2.33, 1050, 0.35)],
}


def rows(text):
    """The cells of all tables' lines."""
    return [
        [cell.strip() for cell in line.strip("| ").split(" | ")]
        for line in text.splitlines()
        if line.startswith("| ") and "---" not in line
    ]


def test_a_row_a_setting_with_bold_and_marks():
    lines = swept("dim", DIM)
    text = sweep_table.write(lines, {}, settings(dim=100))
    table = rows(text)
    assert table[0] == ["dim", "trials", "held-out loss", "perplexity", "WordSim-353"]
    assert [row[0] for row in table[1:4]] == ["50", "100 (baseline)", "200"]
    assert table[2][1:] == ["3", "2.4000 ± 0.2484", "3,050.0 ± 124.2", "0.310 ± 0.025"]
    # Held-out loss: p = .035 and .030 by scipy.stats.ttest_rel, of which Holm doubles the smaller.
    assert table[1][2:] == ["2.5500 ± 0.3726 *", "3,555.0 ± 136.6 **", "0.110 ± 0.026 **"]
    assert table[3][2:] == ["**2.2700 ± 0.1490** *", "**1,050.1 ± 123.7** **", "**0.320 ± 0.066**"]
    assert "3 settings, 9 trials. Baseline: dim=100." in text
    assert "`**`: still so after Holm's correction" in " ".join(text.split())


def test_marks_follow_the_p_values():
    compared = compare.comparisons(compare.groups(swept("dim", DIM)), {}, settings(dim=100))
    for field, found in compared.items():
        p = [c.estimate.p for c in found]
        assert [c.holm for c in found] == pytest.approx(paired.holm(p)), field
        assert [c.alone for c in found] == [x < 0.05 for x in p]
        assert [c.significant for c in found] == [c.holm < 0.05 for c in found]


def test_held_out_losses_of_other_noise_are_not_compared():
    figures = {0.75: DIM[100], 0.5: DIM[50]}
    text = sweep_table.write(swept("noise_power", figures), {}, settings(noise_power=0.75))
    table = rows(text)
    assert table[1][2:] == ["2.5500 ± 0.3726", "3,555.0 ± 136.6 **", "0.110 ± 0.026 **"]
    assert table[2][2:] == ["2.4000 ± 0.2484", "**3,050.0 ± 124.2**", "**0.310 ± 0.025**"]
    flat = " ".join(text.split())
    assert "Held-out loss doesn't compare between settings that differ in noise_power: no" in flat
    assert "Perplexity doesn't" not in flat and "- held-out loss" not in text
    models = {"skipgram": DIM[100], "cbow": DIM[50]}
    text = sweep_table.write(swept("model", models), {}, settings(model="skipgram"))
    assert [row[2:4] for row in rows(text)[1:3]] == [
        ["2.4000 ± 0.2484", "3,050.0 ± 124.2"],
        ["2.5500 ± 0.3726", "3,555.0 ± 136.6"],
    ]
    flat = " ".join(text.split())
    assert "Perplexity doesn't compare between settings that differ in model" in flat


def test_diverged_trials_are_named_and_left_out():
    lines = swept("learning_rate", {0.9: DIM[100], 50.0: DIM[200]})
    lines[4] |= {"frozen_step": 300, "wordsim353_spearman": 99.0}
    lines[2]["stopped_epoch"] = 7
    text = sweep_table.write(lines, {}, settings(learning_rate=0.9))
    assert rows(text)[2] == [
        *("50", "2; 1 diverged", "**2.2700 ± 0.7624**", "**1,025.2 ± 315.1**"),  # too few to mark
        "**0.330 ± 0.254**",
    ]
    expected = "Diverged, left out of the means: learning_rate=50, seed 2, at step 300.\n"
    assert expected in text
    assert "Stopped early: 1 trial, at epochs 7 to 7." in text
    for line in lines[3:]:
        line["frozen_step"] = 1
    assert rows(sweep_table.write(lines, {}, settings(learning_rate=0.9)))[2] == [
        *("50", "0; 3 diverged", "–", "–", "–")
    ]


def test_one_seed_has_no_intervals_and_no_marks():
    lines = swept("dim", {value: seeds[:1] for value, seeds in DIM.items()})
    text = sweep_table.write(lines, {}, settings(dim=100))
    assert rows(text)[1:4] == [
        ["50", "1", "2.4000", "3,500.0", "0.100"],
        ["100 (baseline)", "1", "2.3000", "3,000.0", "0.300"],
        ["200", "1", "**2.2100**", "**1,000.4**", "**0.310**"],
    ]
    assert "One seed: no intervals and no marks" in text and "±: half" not in text
    assert "- WordSim-353. Nothing is significant: fewer than 3 seeds can't tell" in text


def test_two_seeds_have_intervals_but_nothing_is_marked_or_significant():
    two = {100: [(2.3, 3000, 0.3), (2.31, 3000, 0.3)], 50: [(2.5, 1000, 0.1), (2.51, 1000, 0.1)]}
    text = sweep_table.write(swept("dim", two), {}, settings(dim=100))
    first = rows(text)[1]
    assert first[2:4] == ["2.5050 ± 0.0635", "**1,000.0 ± 0.0**"]
    assert "Fewer than 3 seeds: no marks." in text and "p < .05" not in text
    verdicts = text.split("### What is significant")[1].strip().splitlines()
    assert len(verdicts) == 3 and all("Nothing is significant: fewer" in v for v in verdicts)
    found = compare.comparisons(compare.groups(swept("dim", two)), {}, settings(dim=100))
    assert not any(
        c.alone or c.significant or c.over_seeds_alone for of in found.values() for c in of
    )


def test_axes_have_a_table_each_and_the_baseline_in_all():
    base = {"dim": 100, "dynamic_window": True}
    lines = swept("dim", DIM, {"dynamic_window": True})
    for line in swept("dynamic_window", {False: DIM[200]}, {"dim": 100}):
        lines.append(line | {"member": line["member"] + 50})
    text = sweep_table.write(lines, {}, settings(**base))
    assert text.index("### dim") < text.index("### dynamic_window") < text.index("### Differences")
    assert [row[0] for row in rows(text)[5:7]] == ["false", "true (baseline)"]
    found = [row[0] for row in rows(text)[8:]]
    assert found == ["dim=50", "dim=200", "dynamic_window=false"]
    text = sweep_table.write(lines, {}, settings("grid", **base))
    assert [row[:2] for row in rows(text)[:3]] == [
        ["dim", "dynamic_window"],
        ["100", "true (baseline)"],
        ["50", "true"],
    ]


def test_random_settings_are_sorted_and_cut():
    lines = [
        trial(n, {"learning_rate": n / 100}, 1, None, None, 0.5 - abs(n - 12) / 100)
        for n in range(1, 31)
    ]
    text = sweep_table.write(lines, {}, settings("random", learning_rate=9.0))
    assert [row[0] for row in rows(text)[1:4]] == ["0.12", "0.11", "0.13"]
    assert len(rows(text)) == 21 and "left out: 10 settings" in text
    assert "The baseline is not among the settings" in text and "### " not in text
    text = sweep_table.write(lines, {}, settings("random", learning_rate=0.3))
    assert rows(text)[21][0] == "0.3 (baseline)" and "left out: 9 settings" in text


def with_wordsim(dims, own=0.0):
    """Lines and items of settings whose cosines follow people's scores by weight; 235 of 353.

    own: what a setting's five seeds have in common beside what all have.
    """
    people = evaluation.standard_people(["wordsim353"])["wordsim353"]
    draw = np.random.default_rng(0)
    noise, lines, items = draw.normal(size=353), [], {}
    for value, weight in dims.items():
        common = weight * people + noise + own * draw.normal(size=353)
        for seed in range(1, 6):
            cosines = common + 0.05 * draw.normal(size=353)
            cosines[::3] = np.nan
            items[len(lines)] = {"wordsim353": cosines}
            known = np.isfinite(cosines)
            rho = stats.spearmanr(cosines[known], people[known]).statistic
            lines.append(trial(len(lines), {"dim": value}, seed, None, None, rho))
    return lines, over_items.measured(items)


def test_differences_over_items_and_what_is_significant():
    lines, items = with_wordsim({100: 0.4, 50: 0.1, 99: 0.4})
    text = sweep_table.write(lines, items, settings(dim=100))
    header, first, second = rows(text)[4:7]
    assert header == ["minus the baseline", "WordSim-353", "over items too"]
    mean, alone = map(float, first[1].split(" ± "))
    wide = float(first[2].removeprefix("± "))
    assert first[0] == "dim=50" and mean < -wide < -2 * alone
    assert abs(float(second[1].split(" ± ")[0])) < float(second[2].removeprefix("± "))
    assert "- WordSim-353. Significant (after Holm): dim=50 (-0." in text
    assert "Not significant: the other 1." in text
    assert "Minimum detectable effect (power 0.8, 5 seeds): 0.0" in text
    flat = " ".join(text.split())
    assert "p < .05, over seeds and items; `**`" in flat
    assert "±: half width of the 95% interval over seeds (Student's t), text and items the" in flat


def test_seeds_alone_decide_nothing_where_items_are_known():
    lines, items = with_wordsim({100: 0.4, 50: 0.4}, own=0.3)
    every = compare.groups(lines)
    over_seeds = compare.comparisons(every, {}, settings(dim=100))
    (alone,) = over_seeds["wordsim353_spearman"]
    (wide,) = compare.comparisons(every, items, settings(dim=100))["wordsim353_spearman"]
    assert alone.significant and not alone.over_seeds_alone
    assert not wide.significant and not wide.alone and wide.over_seeds_alone
    text = sweep_table.write(lines, items, settings(dim=100))
    assert "On these word pairs, over seeds alone: dim=50 (-0.0" in text
    assert "*" not in rows(text)[1][2] and "Nothing is significant after Holm's" in text
    text = sweep_table.write(lines, {}, settings(dim=100))
    assert rows(text)[1][2].endswith(" **")
    assert "p < .05, over seeds alone (items weren't kept); `**`" in " ".join(text.split())


def test_held_out_figures_are_significant_over_seeds_and_lines():
    """A difference that all seeds show, and one line of forty makes."""
    draw, lines, items = np.random.default_rng(1), [], {}
    common = draw.normal(6, 1, 40)
    for value, shift in ((100, 0.0), (50, 4.0)):
        for seed in range(1, 6):
            nats = common + shift * (np.arange(40) == 7) + 1e-3 * draw.normal(size=40)
            sums = np.stack([nats, np.ones(40)], axis=1)
            items[len(lines)] = {"heldout_loss": sums, "perplexity": sums}
            mean = nats.mean()
            lines.append(trial(len(lines), {"dim": value}, seed, mean, np.exp(mean), None))
    for kept, few in ((over_items.measured(items), True), ({}, False)):
        found = compare.comparisons(compare.groups(lines), kept, settings(dim=100))
        for field in FIELDS[:2]:
            (c,) = found[field]
            assert (c.over_items is not None) == few and c.significant != few
    text = sweep_table.write(lines, over_items.measured(items), settings(dim=100))
    header = rows(text)[3]
    assert header == ["minus the baseline", *["held-out loss", "over items too"], *header[3:]]
    assert header[3:] == ["perplexity", "over items too"]
    assert "p < .05, over seeds and items; `**`" in " ".join(text.split())


def test_no_trials_yet():
    assert sweep_table.write([], {}, settings(dim=100)) == "No trials yet.\n"


def test_a_setting_alone_has_its_training_loss_and_several_have_none():
    lines = swept("dim", {100: DIM[100]})
    for line, loss in zip(lines, (2.0, 2.1, 2.2), strict=True):
        line["loss"] = loss
    text = sweep_table.write(lines, {}, settings(dim=100))
    assert f"Training loss of the last epoch: 2.1000 ± {4.302653 * 0.1 / 3**0.5:.4f}.\n" in text
    kept = [{**line, "best_epoch": 3} for line in lines]
    assert "of the epoch that is kept: 2.1" in sweep_table.write(kept, {}, settings(dim=100))
    lost = [*lines, {**trial(3, {"dim": 100}, 4, 9, 9, 9, frozen=5), "loss": 99.0}]
    assert "last epoch: 2.1000" in sweep_table.write(lost, {}, settings(dim=100))
    assert "last epoch: 2.0000.\n" in sweep_table.write(lines[:1], {}, settings(dim=100))
    two = [*lines, trial(9, {"dim": 50}, 1, *DIM[50][0]) | {"loss": 1.0}]
    assert "Training loss" not in sweep_table.write(two, {}, settings(dim=100))


def test_a_perplexity_beyond_all_measure_is_a_power_of_ten():
    figures = {100: [(2.3, 13_257_075_578_885_898_240.0, 0.3)], 50: [(2.4, 350.0, 0.1)]}
    text = sweep_table.write(swept("dim", figures), {}, settings(dim=100))
    assert "1.3e+19" in text and "13,257" not in text and "350.0" in text


def test_the_table_tells_what_the_vocabulary_covers():
    lines = swept("dim", {100: [(2.3, 3000, None)]})
    covered = {"wordsim353_spearman": [2, 353], "google_analogies_accuracy": [5939, 19544]}
    lines[0]["coverage"] = covered
    text = sweep_table.write(lines, {}, settings(dim=100))
    told = "Covered by the vocabulary: WordSim-353 2 of 353 (too few to tell), analogies 5,939 of"
    assert told in " ".join(text.split())


def test_trials_no_better_than_chance_are_named():
    lines = swept("learning_rate", {0.3: [(2.3, 3000, 0.3)], 1e6: [(9.9, 9000, 0.0)]})
    for line, loss in zip(lines, (2.5, 7e10), strict=True):
        line |= {"loss": loss, "chance_loss": 4.1589}
    text = sweep_table.write(lines, {}, settings(learning_rate=0.3))
    told = [line for line in text.splitlines() if "no better than chance" in line]
    assert len(told) == 1 and "7.0e+10 against 4.1589" in told[0] and "seed 1" in told[0]
    assert "2.5" not in told[0]


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_one_of_a_thing_is_no_plural(count):
    from experiments.report.tables import counted

    assert counted(count, "trial").endswith("s") == (count != 1)
