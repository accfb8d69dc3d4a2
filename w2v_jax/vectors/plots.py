"""Figures: the loss of a run, and a map of its words. Drawn without a display or global state."""

import colorsys
import functools
from collections.abc import Sequence
from os import PathLike

import numpy as np

from w2v_jax.counting import counted
from w2v_jax.types import UserError
from w2v_jax.vectors import style
from w2v_jax.vectors.style import FAINT, INK
from w2v_jax.vectors.word_vectors import WordVectors

MOST_ENDS = 50  # ends of epochs that are marked
FUNCTION_WORDS = 100  # a map begins below the most frequent words, which are near everything


def plot_loss(
    path,
    words: Sequence[float],
    loss: Sequence[float],
    title: str,
    epochs: Sequence[float] = (),
) -> None:
    """The loss against the corpus words read, with its running mean where it is long.

    words, loss: of one length; epochs: corpus words at which epochs end, a dotted line each.
    path: the suffix names the format, .png as a rule; or several paths. Raises UserError without
    matplotlib or where path cannot be written. Source: Deep Learning from Scratch 2, fig. 1-33 and
    ch. 4.3.
    """
    words = np.asarray(words, float)
    loss = np.asarray(loss, float)
    figure = new_figure(8, 4.5)
    from matplotlib.ticker import EngFormatter

    axes = figure.add_subplot()
    width = len(loss) // 40
    if width > 1:
        axes.plot(words, loss, color=FAINT, linewidth=0.8, label="logged")
        half = width // 2
        mean = np.convolve(loss, np.full(2 * half + 1, 1 / (2 * half + 1)), "valid")
        label = f"mean of {2 * half + 1}"
        axes.plot(words[half : len(words) - half], mean, color=style.BLUE, label=label)
        axes.legend(frameon=False)
    else:
        axes.plot(words, loss, color=style.BLUE, marker="o", markersize=3)
    for end in _marked(epochs):
        axes.axvline(end, color=FAINT, linestyle=":", linewidth=1, zorder=0)
    axes.set_title(title, loc="left", parse_math=False)
    axes.set_xlabel("corpus words" + _dotted(epochs))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_ylabel("loss")
    style.plain_axes(axes)
    save_figure(figure, path)


def _marked(ends: Sequence[float]) -> list[float]:
    """Ends of epochs that a line is drawn at: every n-th, at most MOST_ENDS."""
    every = -(-len(ends) // MOST_ENDS) or 1
    return list(ends[every - 1 :: every])


def _dotted(ends: Sequence[float]) -> str:
    every = -(-len(ends) // MOST_ENDS)
    which = "ends of epochs" if every == 1 else f"every {every}th end of an epoch"
    return f" (dotted: {which})" if len(ends) else ""


def plot_embedding(path, wv: WordVectors, count: int = 150) -> list[str]:
    """A map of words: near on the map where their cosine is high, coloured by first two components.

    The count most frequent words below the first 100, without stop words (of a small vocabulary: of
    all), without <unk>, <eos>, N and punctuation. Places are t-SNE's; hue is the angle in the plane
    of the first two principal components, its strength the distance from their origin. Labels never
    overlap: those that do not fit are left out, and words that no registered font covers, which are
    returned. Raises UserError as plot_loss does.
    """
    ids = mapped_words(wv, count)
    unit = wv.vectors[ids].astype(np.float64)
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-30)
    figure = new_figure(12, 9)
    words = [wv.words[i] for i in ids]
    fonts, bare = fonts_for(words)
    axes = figure.add_subplot()
    title = f"{counted(len(ids), 'word')}: what is near has similar contexts (cosine, t-SNE)"
    axes.set_title(title, loc="left", color=INK, fontsize=13)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.margins(0.05)
    positions = tsne(unit)
    colours = _hues(principal_plane(unit))
    dots = axes.scatter(*positions.T, s=14, c=colours, linewidths=0)
    shown = _label(
        figure, axes, [None if w in bare else w for w in words], fonts, positions, colours
    )
    if shown:
        dots.set_alpha(np.where(shown, 0.9, 0.3))  # faint where the word is left out
    save_figure(figure, path)
    return [word for word in words if word in bare]


def mapped_words(wv: WordVectors, count: int) -> np.ndarray:
    """Ids of the words of a map: [<= count], most frequent first.

    Stop words, scikit-learn's English ones, are left out of a large vocabulary: near everything.
    """
    first = min(FUNCTION_WORDS, max(0, len(wv.words) - 2 * count))
    stop = _stop_words() if first else frozenset()
    usable = np.isfinite(wv.vectors).all(axis=1) & wv.vectors.any(axis=1)
    ids = [i for i, word in enumerate(wv.words) if word[:1].isalpha() and word != "N" and usable[i]]
    ids = [i for i in ids if i >= first and wv.words[i].lower() not in stop] or ids
    return np.array(ids[:count], np.int64)


def _stop_words() -> frozenset[str]:
    try:
        from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS
    except ImportError:
        return frozenset()
    return ENGLISH_STOP_WORDS


def principal_plane(rows: np.ndarray) -> np.ndarray:
    """First two principal components: (X - mean) V[:, :2], X = U S V' once centred.

    [n, D] -> [n, 2]; columns of zeros where there are fewer than two.
    """
    plane = np.zeros((len(rows), 2))
    if len(rows):
        left, sizes, _ = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
        plane[:, : len(sizes)] = (left * sizes)[:, :2]
    return plane


def tsne(unit: np.ndarray, perplexity: float = 12.0) -> np.ndarray:
    """Places in the plane at which rows of high cosine are near: unit rows [n, D] -> [n, 2].

    scikit-learn's t-SNE (van der Maaten & Hinton 2008) from the principal plane and a fixed seed,
    so that the same rows give the same map. Raises UserError without scikit-learn.
    """
    try:
        from sklearn.manifold import TSNE
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise UserError("the map needs scikit-learn: pip install 'w2v_jax[eval]'") from error
    if len(unit) < 4:
        return principal_plane(unit)
    start = principal_plane(unit)
    start *= 1e-4 / max(start[:, 0].std(), 1e-12)
    perplexity = min(perplexity, (len(unit) - 1) / 3)
    machine = TSNE(metric="cosine", init=start, perplexity=perplexity, random_state=0)
    with threadpool_limits(1):  # on busy cores its threads would wait for one another
        return machine.fit_transform(unit)


def label_corners(points: np.ndarray, sizes: np.ndarray, box) -> list[tuple[float, float] | None]:
    """Lower left corners of labels beside their points, none over another; None where none fits.

    points, sizes [n, 2] in pixels, earlier labels placed first, over as few points as may be;
    box (x0, y0, x1, y1) holds all.
    """
    taken = np.zeros((0, 4))
    corners: list[tuple[float, float] | None] = []
    for (x, y), (w, h) in zip(points, sizes, strict=True):
        beside = ((4, -h / 2), (-4 - w, -h / 2), (-w / 2, 4), (-w / 2, -4 - h))
        diagonal = ((2, 2), (-2 - w, 2), (2, -2 - h), (-2 - w, -2 - h))
        free = []
        for dx, dy in beside + diagonal:
            low, high = np.array((x + dx, y + dy)), np.array((x + dx + w, y + dy + h))
            inside = (low >= box[:2]).all() and (high <= box[2:]).all()
            over = (low < taken[:, 2:]) & (taken[:, :2] < high)
            if inside and not over.all(axis=1).any():
                dots = int(((low < points) & (points < high)).all(axis=1).sum())
                free.append((dots, len(free), low, high))
        corners.append(None)
        if free:
            *_, low, high = min(free)
            taken = np.vstack([taken, (*low, *high)])
            corners[-1] = (float(low[0]), float(low[1]))
    return corners


def fonts_for(words: Sequence[str]) -> tuple[list[str], set[str]]:
    """Families of registered fonts that together have the words' letters; words that lack one.

    The default family first, then of the others whichever has most letters that are still missing.
    """
    from matplotlib import font_manager

    first = font_manager.FontProperties()
    families = list(first.get_family())
    missing = set("".join(words)) - _letters_of(font_manager.findfont(first))
    registered = font_manager.fontManager.ttflist
    boxes = "Last Resort"  # draws any letter as a box
    others = {font.fname: font.name for font in registered if not font.name.startswith(boxes)}
    while missing:
        path, have = max(
            ((path, missing & _letters_of(path)) for path in sorted(others)),
            key=lambda pair: len(pair[1]),
            default=("", set()),
        )
        if not have:
            break
        families.append(others[path])
        missing -= have
    return families, {word for word in words if missing & set(word)}


@functools.cache
def _letters_of(path: str) -> frozenset[str]:
    """The characters that a font file has a glyph for; none where it can't be read."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(path)
        return frozenset(map(chr, font.get_charmap())) if font.scalable else frozenset()
    except (OSError, RuntimeError):
        return frozenset()


def _label(figure, axes, words, fonts, positions, colours) -> list[bool]:
    """Writes the labels that fit, of words that aren't None; says which."""
    from matplotlib.transforms import IdentityTransform

    figure.draw_without_rendering()  # settles the limits that transData maps
    renderer = figure.canvas.get_renderer()
    style = dict(fontsize=12, fontfamily=fonts, transform=IdentityTransform())
    style |= dict(parse_math=False, va="bottom")
    written = [i for i, word in enumerate(words) if word is not None]
    texts = [axes.text(0, 0, words[i], **style) for i in written]
    boxes = [text.get_window_extent(renderer) for text in texts]
    sizes = np.array([(box.width, box.height) for box in boxes]).reshape(-1, 2)
    corners = label_corners(
        axes.transData.transform(positions[written]), sizes, figure.bbox.extents
    )
    shown = [False] * len(words)
    to_figure = figure.transFigure.inverted()  # which an SVG of other dots an inch has too
    for i, text, corner in zip(written, texts, corners, strict=True):
        if corner is None:
            text.remove()
            continue
        text.set_transform(figure.transFigure)
        text.set_position(to_figure.transform(corner))
        text.set_color(colours[i])
        shown[i] = True
    return shown


def _hues(plane: np.ndarray) -> np.ndarray:
    """A dark colour for each row of [n, 2]: hue its angle, greyer towards the origin."""
    angle = np.arctan2(plane[:, 1], plane[:, 0]) / (2 * np.pi) % 1
    radius = np.hypot(*plane.T)
    strength = np.minimum(radius / max(np.median(radius) if len(radius) else 0, 1e-12), 1)
    colours = [colorsys.hls_to_rgb(h, 0.36, 0.85 * s) for h, s in zip(angle, strength, strict=True)]
    return np.array(colours).reshape(-1, 3)


def new_figure(width: float, height: float):
    """A figure of its own, in inches: no pyplot, no backend chosen for the process.

    Raises UserError without matplotlib.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError("plots need matplotlib: pip install 'w2v_jax[eval]'") from error
    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure, path) -> None:
    """Writes it, in the format of the path's suffix; to each of several paths.

    Raises UserError where it cannot.
    """
    for one in [path] if isinstance(path, str | PathLike) else path:
        try:
            figure.savefig(one)
        except OSError as error:
            raise UserError(f"{one}: {error.strerror or error}") from error
