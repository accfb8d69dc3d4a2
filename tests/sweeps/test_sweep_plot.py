"""What the plots of a sweep show, and where."""

import numpy as np
import pytest

from experiments.sweeps import plot as sweep_plot
from experiments.sweeps import plot_curves, plot_differences
from experiments.sweeps.compare import STANDARD, groups

pytest.importorskip("matplotlib")

BASE = {"dim": 100, "learning_rate": 0.1, "loss": "full_softmax", "dynamic_window": True}
AXES = {
    "dim": [50, 100, 200],
    "learning_rate": [0.001, 0.1, 1.0],
    "loss": ["full_softmax", "d2l"],
    "dynamic_window": [True, False],
}
WORDSIM = STANDARD[2]


def lines_of(chosen, seeds=3, figure=lambda setting, seed: 0.3 + 0.01 * seed):
    return [
        {
            **{"member": i * seeds + seed, "setting": setting, "seed": seed, "frozen_step": None},
            **{"wordsim353_spearman": figure(setting, seed), "perplexity": 3000.0 + seed},
        }
        for i, setting in enumerate(chosen)
        for seed in range(1, seeds + 1)
    ]


def one_at_a_time(base=BASE, axes=AXES):
    varied = [{**base, name: v} for name in axes for v in axes[name] if v != base[name]]
    return [base, *varied], {"design": "axes", "base": base, "axes": axes}


def test_a_column_an_axis_and_a_row_a_measure():
    chosen, settings = one_at_a_time()
    (figure,) = sweep_plot.figures(lines_of(chosen), settings)
    assert len(figure.axes) == 8
    assert [axes.get_xlabel() for axes in figure.axes] == [*AXES, *AXES]
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["perplexity"] * 4 + ["WordSim-353"] * 4
    dim, rate, loss, window = figure.axes[4:]
    assert [axes.get_xscale() for axes in figure.axes[4:]] == ["linear", "log", "linear", "linear"]
    ticks = [[t.get_text() for t in axes.get_xticklabels()] for axes in (dim, rate, loss, window)]
    assert ticks == [
        ["50", "100", "200"],
        ["0.001", "0.1", "1"],
        ["full_softmax", "d2l"],
        ["false", "true"],
    ]
    figure.draw_without_rendering()
    for axes in figure.axes:
        box = axes.get_window_extent()
        assert box.width / figure.dpi > 3.2 and box.height / figure.dpi > 2.6
        labels = [*axes.get_xticklabels(), *axes.get_yticklabels(), axes.xaxis.label]
        assert min(text.get_fontsize() for text in labels) >= 9


def test_means_intervals_seeds_and_the_baseline():
    chosen, settings = one_at_a_time(axes={"dim": AXES["dim"]}, base={"dim": 100})
    figures = {50: (0.1, 0.2, 0.3), 100: (0.4, 0.5, 0.6), 200: (0.5, 0.5, 0.8)}
    lines = lines_of(chosen, figure=lambda setting, seed: figures[setting["dim"]][seed - 1])
    axes = sweep_plot.figures(lines, settings)[0].axes[1]
    base = next(line for line in axes.lines if line.get_linestyle() == "--")
    assert base.get_ydata() == pytest.approx([0.5, 0.5])
    means = axes.containers[0]
    np.testing.assert_allclose(means.lines[0].get_xydata(), [(50, 0.2), (100, 0.5), (200, 0.6)])
    bars = means.lines[2][0].get_segments()
    half = 4.302653 * 0.1 / 3**0.5
    np.testing.assert_allclose(bars[0][:, 1], [0.2 - half, 0.2 + half], rtol=1e-6)
    dots = next(line for line in axes.lines if line.get_marker() == ".")
    np.testing.assert_allclose(np.reshape(dots.get_ydata(), (3, 3)), list(figures.values()))
    band = axes.patches[0].get_extents().transformed(axes.transData.inverted())
    assert (band.y0, band.y1) == pytest.approx((0.5 - half, 0.5 + half))


@pytest.mark.slow
def test_many_axes_take_several_images(tmp_path):
    base = {f"axis{i}": 1 for i in range(6)}
    chosen, settings = one_at_a_time(base, {name: [1, 2] for name in base})
    lines = lines_of(chosen)
    paths = sweep_plot.plot(tmp_path / "ablation.png", lines, settings)
    assert [path.name for path in paths] == ["ablation_1.png", "ablation_2.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)
    assert [len(f.axes) for f in sweep_plot.figures(lines, settings)] == [6, 6]
    assert sweep_plot.plot(tmp_path / "x.png", lines[:3], settings) == []
    for line in lines:
        line["frozen_step"] = 5
    assert sweep_plot.figures(lines, settings) == []


def test_held_out_losses_only_where_they_compare():
    base = {"dim": 100, "negatives": 5}
    chosen, settings = one_at_a_time(base, {"dim": [50, 100], "negatives": [1, 5]})
    lines = [line | {"heldout_loss": 2.0} for line in lines_of(chosen)]
    (figure,) = sweep_plot.figures(lines, settings)
    first, second = figure.axes[:2]
    assert first.get_title(loc="left") == "held-out loss"
    assert second.texts[0].get_text() == "doesn't compare" and not second.lines


@pytest.mark.parametrize(
    ("values", "scale", "positions"),
    [
        ([1, 5, 20], "linear", [1, 5, 20]),
        ([1, 5, 21], "log", [1, 5, 21]),
        ([0, 0.5, 1], "linear", [0, 0.5, 1]),
        ([0, 1e-5, 1e-3], "linear", [0, 1, 2]),
        (["a", "b"], "linear", [0, 1]),
        ([False, True], "linear", [0, 1]),
        ([1, "off"], "linear", [0, 1]),
        (list(range(1, 31)), "linear", list(range(1, 31))),
        ([2.0**i for i in range(14)], "log", [2.0**i for i in range(14)]),
    ],
)
def test_scales(values, scale, positions):
    axes = sweep_plot.new_figure(4, 3).add_subplot()
    found, labels = sweep_plot.scale(axes, values)
    assert axes.get_xscale() == scale and list(found.values()) == positions
    assert (labels is None) == (positions == values and not isinstance(values[0], bool))
    low, high = axes.get_xlim()
    assert low < min(positions) and max(positions) < high


def test_a_grid_has_a_line_for_each_setting_of_the_others_or_their_mean():
    chosen = [{"dim": d, "window": w} for d in (50, 100) for w in range(1, 8)]
    settings = {
        "design": "grid",
        "base": {"dim": 50, "window": 1},
        "axes": {"dim": [], "window": []},
    }
    lines = lines_of(
        chosen, figure=lambda s, seed: s["dim"] / 1000 + s["window"] / 100 + seed / 1e4
    )
    of_dim, of_window = sweep_plot.figures(lines, settings)[0].axes[2:]
    assert of_dim.get_title(loc="left") == "WordSim-353, mean over the other axes"
    np.testing.assert_allclose(of_dim.containers[0].lines[0].get_xydata()[:, 1], [0.0902, 0.1402])
    assert len(of_window.containers) == 2
    of_dim, of_window = legends(sweep_plot.figures(lines, settings)[0])
    assert (of_dim, [name for name, _ in of_window]) == ([], ["dim=50", "dim=100"])


def legends(figure):
    """Of each column the names and colours that its legend has, that of the bottom panel."""
    assert not figure.legends
    columns = len({axes.get_subplotspec().colspan.start for axes in figure.axes})
    assert not any(axes.get_legend() for axes in figure.axes[:-columns])
    found = [axes.get_legend() for axes in figure.axes[-columns:]]
    return [
        [
            (text.get_text(), line.get_color())
            for text, line in zip(legend.get_texts(), legend.get_lines(), strict=True)
        ]
        if legend
        else []
        for legend in found
    ]


def test_each_column_has_a_legend_of_its_own_curves():
    chosen = [{"dim": d, "window": w} for d in (50, 100) for w in (1, 2, 3)]
    settings = {"design": "grid", "base": chosen[0], "axes": {"dim": [], "window": []}}
    (figure,) = sweep_plot.figures(lines_of(chosen), settings)
    of_dim, of_window = legends(figure)
    assert [name for name, _ in of_dim] == ["window=1", "window=2", "window=3"]
    assert [name for name, _ in of_window] == ["dim=50", "dim=100"]
    for axes, own in zip(figure.axes[-2:], (of_dim, of_window), strict=True):
        assert [c.lines[0].get_color() for c in axes.containers] == [colour for _, colour in own]
    figure.draw_without_rendering()
    for axes in figure.axes[-2:]:
        box = axes.get_legend().get_window_extent()
        assert box.y0 >= 0 and box.y1 <= axes.xaxis.get_tightbbox().y0 + 1


def test_means_over_the_others_are_of_the_same_others():
    chosen = [{"dim": d, "window": w} for d in (50, 100) for w in range(1, 9)]
    lines = lines_of(chosen, figure=lambda setting, seed: float(setting["window"]))
    for line in lines:
        if line["setting"] == {"dim": 100, "window": 8}:
            line["frozen_step"] = 3
    curves, averaged = sweep_plot.curves(
        groups(lines), "dim", WORDSIM, {"design": "grid", "base": {}, "axes": {}}
    )
    assert averaged and curves == [
        ("", [(50, {1: 4.0, 2: 4.0, 3: 4.0}), (100, {1: 4.0, 2: 4.0, 3: 4.0})])
    ]


def test_random_settings_are_dots():
    chosen = [{"dim": d, "window": w} for d, w in ((50, 1), (70, 2), (90, 2))]
    settings = {"design": "random", "base": {"dim": 1, "window": 1}, "axes": {}}
    for axes in sweep_plot.figures(lines_of(chosen), settings)[0].axes:
        assert not axes.containers and [len(line.get_xdata()) for line in axes.lines] == [1, 1, 1]


def test_differences_are_sorted_by_axis_and_coloured_where_significant(tmp_path):
    base = {"dim": 100, "window": 5}
    chosen, settings = one_at_a_time(base, {"dim": [50, 100, 200], "window": [2, 5]})
    gains = {50: -0.1, 100: 0.0, 200: 0.0}

    def figure(setting, seed):
        luck = 0.001 * np.sin(setting["dim"] + 7 * setting["window"] + 3 * seed)
        return 0.3 + 0.02 * seed + gains[setting["dim"]] + luck - 5 * (setting["window"] == 2)

    lines = lines_of(chosen, seeds=5, figure=figure)
    drawn = plot_differences.figure_of(lines, {}, settings)
    (axes,) = drawn.axes
    assert axes.get_title(loc="left") == "WordSim-353"
    assert [t.get_text() for t in axes.get_yticklabels()] == ["dim=50", "dim=200", "window=2"]
    dots = {line.get_ydata()[0]: line for line in axes.lines if line.get_marker() == "o"}
    assert [dots[y].get_xdata()[0] for y in (0, 1)] == pytest.approx([-0.1, 0], abs=0.002)
    assert dots[0].get_color() == sweep_plot.BLUE != dots[1].get_color()
    (arrow,) = [line for line in axes.lines if line.get_marker() == "<"]
    assert arrow.get_ydata()[0] == 2.5 and axes.get_xlim()[0] > -1
    assert axes.texts[0].get_text().startswith("-5.00")
    path = tmp_path / "differences.png"
    assert plot_differences.plot(path, lines, {}, settings) == [path]
    assert path.read_bytes().startswith(b"\x89PNG")
    settings["base"] = {"dim": 7, "window": 5}
    assert plot_differences.plot(tmp_path / "no.png", lines, {}, settings) == []
    assert not (tmp_path / "no.png").exists()


# Curves


def test_curves_are_each_trials_and_their_means(tmp_path):
    def line(number, dim, seed, curve, heldout=None):
        found = {"member": number, "setting": {"dim": dim}, "seed": seed, "frozen_step": None}
        return {**found, "curve": curve, **({"heldout_curve": heldout} if heldout else {})}

    lines = [
        line(0, 10, 1, [3.0, 2.0, 1.0], [3.0, 2.5, 2.6]),
        line(1, 10, 2, [3.2, 2.2, 1.2], [3.1, 2.6, None]),
        line(2, 20, 1, [2.0, 1.0]),  # it was stopped
        line(3, 20, 2, [2.4, 1.4, 0.4]),
    ]
    settings = {"base": {"dim": 10}, "axes": {"dim": [10, 20]}}
    path = tmp_path / "curves.png"
    assert plot_curves.plot(path, lines, settings) == [path]
    assert path.read_bytes().startswith(b"\x89PNG")
    every = groups(lines)
    means = [plot_curves.mean_of(plot_curves.known(group, "curve")) for group in every]
    np.testing.assert_allclose(means[0], [3.1, 2.1, 1.1])
    np.testing.assert_allclose(means[1], [2.2, 1.2])
    assert len(plot_curves.known(every[1], "heldout_curve")) == 0
    short = [line(0, 10, 1, [3.0])]
    assert plot_curves.plot(tmp_path / "no.png", short, settings) == []
    old = [{k: x for k, x in one.items() if "curve" not in k} for one in lines]
    assert plot_curves.plot(tmp_path / "no.png", old, settings) == []
    assert not (tmp_path / "no.png").exists()
