"""Word vectors -> how well clusters of them are people's categories."""

import math
import warnings

import numpy as np

from w2v_jax.types import UserError
from w2v_jax.vectors import judgements
from w2v_jax.vectors.evaluation import Measure, ids_of
from w2v_jax.vectors.similarity import unit_rows
from w2v_jax.vectors.word_vectors import WordVectors

STARTS = 20  # of k-means, of which the tightest counts


def categorisation(wv: WordVectors, path, name: str) -> Measure:
    """Purity of k-means' clusters of unit vectors, as many as there are categories.

    purity = sum over clusters of the words of its most frequent category / words. Words that are
    not known are left out, and categories without any. The same clusters each time.

    path: a file that `judgements.categories` reads. Raises UserError for one that cannot be read
    so, and where scikit-learn is not installed. Source: Baroni, Dinu & Kruszewski 2014, 2.2.
    """
    items = judgements.categories(path)
    ids = ids_of(wv, [word for word, _ in items])
    known = [(i, category) for i, (_, category) in zip(ids, items, strict=True) if i >= 0]
    names = sorted({category for _, category in known})
    if len(names) < 2 or len(known) <= len(names):
        return Measure(f"{name}_purity", None, len(known), len(items))
    rows = np.asarray(unit_rows(wv.vectors[[i for i, _ in known]]))
    labels = np.array([names.index(category) for _, category in known])
    value = purity(_clusters(path, rows, len(names)), labels)
    return Measure(f"{name}_purity", value, len(known), len(items))


def purity(clusters: np.ndarray, labels: np.ndarray) -> float:
    """Share of items that are of their cluster's most frequent label: [N], [N] -> scalar."""
    most = [np.bincount(labels[clusters == each]).max() for each in np.unique(clusters)]
    return math.fsum(most) / len(labels)


def _clusters(path, rows: np.ndarray, count: int) -> np.ndarray:
    try:
        from sklearn.cluster import KMeans
    except ImportError as error:
        raise UserError(f"{path}: needs scikit-learn: pip install 'w2v_jax[eval]'") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fewer distinct rows than clusters
        return KMeans(count, n_init=STARTS, random_state=0).fit_predict(rows)
