"""The arithmetic of the figures, and that what is drawn is legible."""

import dataclasses
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2v_jax.types import UserError
from w2v_jax.vectors import plots
from w2v_jax.vectors.word_vectors import WordVectors

pytest.importorskip("matplotlib")


@pytest.fixture
def drawn(monkeypatch):
    """The figures that would have been saved."""
    figures = []
    monkeypatch.setattr(plots, "save_figure", lambda figure, path: figures.append(figure))
    return figures


def unit_rows(seed, rows, dim):
    rows = np.random.default_rng(seed).normal(size=(rows, dim))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def planted(groups=4, each=15, dim=20):
    """Words in groups that point the same way."""
    centres = np.repeat(unit_rows(0, groups, dim), each, axis=0)
    vectors = centres + 0.1 * np.random.default_rng(1).normal(size=centres.shape)
    words = tuple(f"g{i // each}w{i % each}" for i in range(groups * each))
    return WordVectors(words, vectors.astype(np.float32))


def test_loss_curve_is_the_data_and_its_running_mean(drawn):
    words = np.arange(1, 201) * 1000
    loss = np.random.default_rng(0).normal(size=200)
    plots.plot_loss("x.png", words, loss, "cost in $ and $", epochs=[50_000, 150_000])
    axes = drawn[0].axes[0]
    logged, mean, *ends = axes.lines
    np.testing.assert_array_equal(logged.get_xydata(), np.stack([words, loss], axis=1))
    expected = [(words[i], sum(loss[i - 2 : i + 3]) / 5) for i in range(2, 198)]
    np.testing.assert_allclose(mean.get_xydata(), expected)
    assert [end.get_xdata()[0] for end in ends] == [50_000, 150_000]
    assert axes.get_ylabel() == "loss" and axes.get_xlabel().startswith("corpus words")
    assert axes.get_title(loc="left") == "cost in $ and $"


@pytest.mark.parametrize("loss", [[], [2.5], [3.0, float("nan"), 2.0]])
def test_short_loss_curves(tmp_path, loss):
    plots.plot_loss(tmp_path / "x.png", range(len(loss)), loss, "short")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 40))
def test_labels_never_overlap_and_stay_inside(seed, n):
    draw = np.random.default_rng(seed)
    points, sizes = draw.uniform(0, 200, (n, 2)), draw.uniform(5, 60, (n, 2))
    corners = plots.label_corners(points, sizes, (0, 0, 200, 200))
    boxes = [(*c, c[0] + w, c[1] + h) for c, (w, h) in zip(corners, sizes, strict=True) if c]
    for i, (x0, y0, x1, y1) in enumerate(boxes):
        assert x0 >= 0 and y0 >= 0 and x1 <= 200 and y1 <= 200
        for a0, b0, a1, b1 in boxes[:i]:
            assert x1 <= a0 or a1 <= x0 or y1 <= b0 or b1 <= y0


def test_labels_yield_to_earlier_ones_and_step_aside_for_points():
    size = np.array([[30.0, 10.0]])
    box = (0, 0, 200, 200)
    assert plots.label_corners(np.array([[100.0, 100.0]]), size, box) == [(104, 95)]
    # A point where the label would lie: it goes to the other side.
    points = np.array([[100.0, 100.0], [120.0, 100.0]])
    assert plots.label_corners(points, np.repeat(size, 2, axis=0), box)[0] == (66, 95)
    # One place, many comers: the first have it.
    corners = plots.label_corners(np.full((20, 2), 100.0), np.repeat(size, 20, axis=0), box)
    assert corners[0] is not None and corners[-1] is None


def test_principal_plane_is_the_covariances():
    rows = np.random.default_rng(0).normal(size=(30, 6)) * [5, 1, 1, 3, 1, 1]
    plane = plots.principal_plane(rows)
    _, vectors = np.linalg.eigh(np.cov(rows.T))
    expected = (rows - rows.mean(axis=0)) @ vectors[:, [-1, -2]]
    np.testing.assert_allclose(np.abs(plane), np.abs(expected), atol=1e-9)


def test_tsne_keeps_planted_groups_together_and_repeats_itself():
    wv = planted()
    unit = wv.vectors / np.linalg.norm(wv.vectors, axis=1, keepdims=True)
    positions = plots.tsne(unit.astype(np.float64))
    apart = np.linalg.norm(positions[:, None] - positions, axis=2)
    np.fill_diagonal(apart, np.inf)
    nearest = np.argsort(apart, axis=1)[:, :5]
    assert np.all(nearest // 15 == np.arange(60)[:, None] // 15)
    np.testing.assert_array_equal(positions, plots.tsne(unit.astype(np.float64)))


def test_words_of_a_map():
    words = ("<unk>", "N", "a", "$", "--", "year", "dead", "gone", "'s", "u.s.", "<eos>", "月")
    vectors = np.ones((len(words), 2), np.float32)
    vectors[6], vectors[7, 1] = 0, np.nan
    assert plots.mapped_words(WordVectors(words, vectors), 20).tolist() == [2, 5, 9, 11]
    assert plots.mapped_words(WordVectors(words, vectors), 6).tolist() == [2, 5, 9, 11]
    many = WordVectors(tuple(f"w{i}" for i in range(1000)), np.ones((1000, 2), np.float32))
    assert plots.mapped_words(many, 50).tolist() == list(range(100, 150))
    words = tuple(
        {101: "the", 103: "Would", 104: "wouldn"}.get(i, w) for i, w in enumerate(many.words)
    )
    assert plots.mapped_words(dataclasses.replace(many, words=words), 4).tolist() == [
        100,
        102,
        104,
        105,
    ]
    few = WordVectors(("you", "say", "goodbye", "and"), np.ones((4, 2), np.float32))
    assert plots.mapped_words(few, 20).tolist() == [0, 1, 2, 3]  # a small text needs all it has


def test_the_map_as_drawn_has_no_label_over_another(drawn):
    plots.plot_embedding("x.png", planted(groups=8, each=20), count=160)
    figure = drawn[0]
    renderer = figure.canvas.get_renderer()
    figure.draw(renderer)
    texts = figure.axes[0].texts
    boxes = [text.get_window_extent(renderer).padded(-0.5) for text in texts]
    assert 40 < len(texts) <= 160
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i])
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1
    # Every label lies by its own point.
    points = figure.axes[0].transData.transform(figure.axes[0].collections[0].get_offsets())
    names = planted(groups=8, each=20).words
    for text, box in zip(texts, boxes, strict=True):
        x, y = points[names.index(text.get_text())]
        assert box.x0 - 8 <= x <= box.x1 + 8 and box.y0 - 8 <= y <= box.y1 + 8


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 6])
def test_a_map_of_few_words(tmp_path, size):
    words = ("a$b$", "word", "same", "twin", "e", "f")[:size]
    vectors = np.ones((6, 3), np.float32)[:size] * [1, 2, 3]
    plots.plot_embedding(tmp_path / "x.png", WordVectors(words, vectors.astype(np.float32)))
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def test_no_global_state_is_touched(tmp_path):
    import matplotlib

    before = dict(matplotlib.rcParams), "matplotlib.pyplot" in sys.modules
    plots.plot_loss(tmp_path / "x.png", [1, 2], [3, 2], "t")
    plots.plot_embedding(tmp_path / "y.png", planted(2, 4))
    assert before == (dict(matplotlib.rcParams), "matplotlib.pyplot" in sys.modules)


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    for plot in (
        lambda: plots.plot_loss("x.png", [1], [1], "t"),
        lambda: plots.plot_embedding("x.png", planted()),
    ):
        with pytest.raises(UserError, match=r"pip install 'w2v_jax\[eval\]'"):
            plot()


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none/x\.png: No such file"):
        plots.plot_loss(tmp_path / "none" / "x.png", [1], [1], "t")


def test_svg_and_png_have_the_words_at_the_same_positions(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(plots, "save_figure", lambda figure, path: figures.append((figure, path)))
    plots.plot_embedding(tmp_path / "x.png", planted(2, 4))
    figure, _ = figures[0]
    (axes,) = figure.axes
    by_dpi = {}
    for dpi in (120, 72):  # an SVG has 72 dots an inch, whatever was set
        figure.dpi = dpi
        positions = [text.get_transform().transform(text.get_position()) for text in axes.texts]
        by_dpi[dpi] = np.array(positions) / dpi
    assert len(by_dpi[72]) and by_dpi[72] == pytest.approx(by_dpi[120])


def test_words_that_no_font_covers_are_left_out_and_returned(tmp_path, recwarn):
    words = ("apple", "straße", "слово", "\U00012000\U00012001", "word", "ten")
    vectors = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
    bare = plots.plot_embedding(tmp_path / "x.png", WordVectors(words, vectors))
    assert bare == ["\U00012000\U00012001"]
    assert not [w for w in recwarn if "missing from" in str(w.message)]


def test_fonts_are_chosen_by_letters(monkeypatch):
    from matplotlib import font_manager

    plots.fonts_for(["ab"])  # matplotlib has found its default from here on
    covers = {"a.ttf": "abc", "k.ttf": "abc가나다", "j.ttf": "가あい"}
    entries = [font_manager.FontEntry(fname=name, name=name[0]) for name in covers]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", entries)
    monkeypatch.setattr(plots, "_letters_of", lambda path: set(covers.get(path, "abc")))
    families, bare = plots.fonts_for(["ab", "가나다", "あc", "ж"])
    assert families[-2:] == ["k", "j"] and bare == {"ж"}
    assert plots.fonts_for(["ab"])[0] == families[:-2]


def test_many_ends_of_epochs_do_not_hatch(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(plots, "save_figure", lambda figure, path: figures.append(figure))
    for count in (1, 50, 51, 1000):
        ends = range(1, count + 1)
        plots.plot_loss("x.png", [1, count + 1], [2.0, 1.0], "t", ends)
        dotted = [line for line in figures[-1].axes[0].lines if line.get_linestyle() == ":"]
        assert 1 <= len(dotted) <= 50
    assert "every 20th end" in figures[-1].axes[0].get_xlabel()
