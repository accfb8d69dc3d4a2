"""word2vec.c's inner loops (TrainModelThread), written anew in float64: a pair after the other.

The C code takes sigma from a table of 1000 entries, and beyond scores of 6 takes 0 or 1 for it;
with hierarchical softmax it leaves out such turns. Here sigma is exact.
"""

import numpy as np
from reference import sigmoid


def negatives_of(target, drawn):
    """The outputs of a positive and of the noise drawn for it: a draw that hits is skipped."""
    return [(target, 1.0), *((int(word), 0.0) for word in drawn if word != target)]


def turns_of(path):
    """The outputs of a word's path as `huffman.paths` has it: nodes, and 1 - code."""
    return [(abs(int(turn)) - 1, float(turn > 0)) for turn in path if turn]


def update(w_in, w_out, inputs, outputs, rate, delayed=False):
    """One positive, in place: inputs are a word (skip-gram), or all contexts of a window (CBOW).

    Each output row is read and moved before the next is read; the inputs move at the end, each by
    the whole error. delayed: the outputs move at the end too, as in a step down the gradient.
    """
    h = np.mean([w_in[i] for i in inputs], axis=0)
    error, moves = np.zeros_like(h), []
    for row, label in outputs:
        g = rate * (label - sigmoid(h @ w_out[row]))
        error += g * w_out[row]
        if delayed:
            moves.append((row, g))
        else:
            w_out[row] += g * h
    for row, g in moves:
        w_out[row] += g * h
    for i in inputs:
        w_in[i] += error
