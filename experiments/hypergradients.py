"""The learning rate and the noise power, derived: held-out loss through a whole short run.

python -m experiments.hypergradients --workdir=OUT

A run of skip-gram with negative sampling, its noise as an exact expectation, over a small
vocabulary of a text (w2v_jax/hypergradients.py), in float64. For each optimiser: the derivative of
the loss on the text's end in log learning rate and in noise power, beside central differences; then
gradient descent on both from a bad start; the loss over each of the two with tangents, and the
derivative in the rate of every single step. Leaves results.jsonl, table.md and hypergradients.png.
"""

from experiments.benchmarks import hypergradients
from experiments.cli import command

if __name__ == "__main__":
    hypergradients.define_flags()
    command.start(hypergradients.main, __doc__)
