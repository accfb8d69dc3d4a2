"""What is in a traced program."""

import jax


def equations(jaxpr):
    """All of a program, those of loops and calls too."""
    for eqn in jaxpr.eqns:
        yield eqn
        for inner in jax.tree.leaves(eqn.params, is_leaf=lambda x: hasattr(x, "jaxpr")):
            if hasattr(getattr(inner, "jaxpr", inner), "eqns"):
                yield from equations(getattr(inner, "jaxpr", inner))
