"""The derivations as plain NumPy loops in float64: what the tests compare with.

Layers and models as "Deep Learning from Scratch 2" (the book), chapter 4, derives them; the masked
loss of "Dive into Deep Learning" (d2l) 15.4.2; the general case, a row and an output at a time.
"""

import numpy as np
from batches import flat


def sigmoid(x):
    """1 / (1 + e^-x), without overflow."""
    return np.exp(-np.logaddexp(0.0, -np.asarray(x, np.float64)))


def embedding(table, ids):
    """The book's 4.1, forward: rows instead of one-hot x W."""
    return np.array([table[i] for i in ids], np.float64)


def embedding_backward(table, ids, gradient):
    """The book's 4.1, backward: the rows of a repeated id are added."""
    total = np.zeros_like(table, np.float64)
    np.add.at(total, ids, gradient)
    return total


def embedding_dot(table, h, targets):
    """The book's 4.2.4, forward: sum(W[target] * h, axis 1)."""
    return np.sum(embedding(table, targets) * h, axis=1)


def embedding_dot_backward(table, h, targets, gradient):
    """The book's 4.2.4, backward: (d table, d h)."""
    gradient = gradient[:, None]
    return embedding_backward(table, targets, gradient * h), gradient * embedding(table, targets)


def sigmoid_with_loss(scores, labels):
    """The book's SigmoidWithLoss: mean cross entropy, and its gradient (y - t) / batch."""
    y = sigmoid(scores)
    signed = np.where(np.asarray(labels) > 0, scores, -np.asarray(scores))
    return np.mean(np.logaddexp(0.0, -signed)), (y - labels) / len(scores)


def negative_sampling_loss(table, h, targets, noise):
    """The book's 4.2.7: the positive's loss plus those of K negatives -> loss, d table, d h.

    targets [T], noise [T, K].
    """
    total, d_table, d_h = 0.0, np.zeros_like(table, np.float64), np.zeros_like(h)
    for k in range(-1, noise.shape[1]):
        ids = targets if k < 0 else noise[:, k]
        labels = np.full(len(targets), 1.0 if k < 0 else 0.0)
        loss, d_scores = sigmoid_with_loss(embedding_dot(table, h, ids), labels)
        of_table, of_h = embedding_dot_backward(table, h, ids, d_scores)
        total, d_table, d_h = total + loss, d_table + of_table, d_h + of_h
    return total, d_table, d_h


def cbow(w_in, w_out, contexts, targets, noise):
    """The book's CBOW: contexts [T, C], targets [T], noise [T, K] -> loss, d W_in, d W_out."""
    columns = contexts.shape[1]
    h = sum(embedding(w_in, contexts[:, c]) for c in range(columns)) / columns
    loss, d_out, d_h = negative_sampling_loss(w_out, h, targets, noise)
    d_in = sum(embedding_backward(w_in, contexts[:, c], d_h / columns) for c in range(columns))
    return loss, d_in, d_out


def skipgram(w_in, w_out, contexts, targets, noise):
    """The book's SkipGram: contexts [T, C], targets [T], noise [T, C, K] -> loss, d W_in, d W_out.

    A NegativeSamplingLoss a context position, summed.
    """
    h = embedding(w_in, targets)
    total, d_in, d_out = 0.0, np.zeros_like(w_in, np.float64), np.zeros_like(w_out, np.float64)
    for c in range(contexts.shape[1]):
        loss, of_out, d_h = negative_sampling_loss(w_out, h, contexts[:, c], noise[:, c])
        total, d_out = total + loss, d_out + of_out
        d_in += embedding_backward(w_in, targets, d_h)
    return total, d_in, d_out


class Adam:
    """The book's Adam (common/optimizer.py): the bias corrections are folded into the rate."""

    def __init__(self, lr=0.001, beta1=0.9, beta2=0.999, eps=1e-7):
        self.lr, self.beta1, self.beta2, self.eps = lr, beta1, beta2, eps
        self.t, self.m, self.v = 0, None, None

    def update(self, params, grads):
        """Changes each array of params in place."""
        if self.m is None:
            self.m = [np.zeros_like(p) for p in params]
            self.v = [np.zeros_like(p) for p in params]
        self.t += 1
        lr = self.lr * np.sqrt(1 - self.beta2**self.t) / (1 - self.beta1**self.t)
        for p, g, m, v in zip(params, grads, self.m, self.v, strict=True):
            m += (1 - self.beta1) * (g - m)
            v += (1 - self.beta2) * (g * g - v)
            p -= lr * m / (np.sqrt(v) + self.eps)


def masked_bce(scores, labels, masks):
    """d2l 15.4.2: each row's mean binary cross entropy over its unmasked entries, [rows]."""
    rows = []
    for row, truth, mask in zip(scores, labels, masks, strict=True):
        terms = [
            m * np.logaddexp(0.0, -s if t > 0 else s)
            for s, t, m in zip(row, truth, mask, strict=True)
        ]
        rows.append(sum(terms) / sum(mask))
    return np.array(rows)


def log_softmax(scores):
    """s - log sum e^s."""
    scores = np.asarray(scores, np.float64)
    top = scores.max()
    return scores - top - np.log(np.sum(np.exp(scores - top)))


def objective(w_in, w_out, batch, loss, legacy=False):
    """Any batch, a row at a time -> sum of the rows' losses, d W_in, d W_out.

    legacy: each input gets the hidden layer's gradient undivided.
    """
    total, d_in, d_out = 0.0, np.zeros_like(w_in, np.float64), np.zeros_like(w_out, np.float64)
    for inputs, input_weights, outputs, labels, weights in zip(*flat(batch), strict=True):
        h = sum(w * w_in[i] for i, w in zip(inputs, input_weights, strict=True))
        d_h = np.zeros_like(h)
        if loss == "softmax":
            log_p = log_softmax(w_out @ h)
            for target, weight in zip(outputs, weights, strict=True):
                total -= weight * log_p[target]
                d_scores = weight * np.exp(log_p)
                d_scores[target] -= weight
                d_out += np.outer(d_scores, h)
                d_h += d_scores @ w_out
        else:
            filled = sum(weights) if loss == "masked_mean" else 1.0
            for o, label, weight in zip(outputs, labels, weights, strict=True):
                if not weight:
                    continue
                score = w_out[o] @ h
                total += weight / filled * np.logaddexp(0.0, -score if label > 0 else score)
                d_score = weight / filled * (sigmoid(score) - label)
                d_out[o] += d_score * h
                d_h += d_score * w_out[o]
        for i, weight in zip(inputs, input_weights, strict=True):
            d_in[i] += (float(weight > 0) if legacy else weight) * d_h
    return total, d_in, d_out
