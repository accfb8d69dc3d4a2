"""Batches, and the rows with labelled outputs that a loss sees of them, on the host."""

import numpy as np

from w2v_jax.types import Batch, Rows


def batch_of(inputs, input_weights, outputs, weights, k):
    """A batch of outputs [T, P (1 + K)], each positive with its K negatives behind it."""
    shape = *outputs.shape[:-1], -1, 1 + k
    ids, shares = outputs.reshape(shape), weights.reshape(shape)
    parts = ids[..., 0], shares[..., 0], ids[..., 1:], shares[..., 1:]
    kinds = np.int32, np.float32, np.int32, np.float32, np.int32, np.float32
    return Batch(
        *(x.astype(kind) for x, kind in zip((inputs, input_weights, *parts), kinds, strict=True))
    )


def flat(batch):
    """Its rows: outputs [T, P (1 + K)], labels 1 for a positive, 0 for a negative."""
    if isinstance(batch, Rows):
        return batch
    inputs, shares, positives, weights, negatives, negative_weights = map(np.asarray, batch)

    def joined(of_positives, of_negatives):
        both = np.concatenate([of_positives[..., None], of_negatives], axis=-1)
        return both.reshape(len(both), -1)

    labels = joined(np.ones_like(weights), np.zeros_like(negative_weights))
    outputs, every = joined(positives, negatives), joined(weights, negative_weights)
    return Rows(inputs, shares, outputs, labels, every)
