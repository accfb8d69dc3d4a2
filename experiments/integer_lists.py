"""List flags of positive integers."""

from absl import flags

from w2v_jax.types import UserError


def positive(flag: str) -> list[int]:
    """A list flag of positive integers, sorted; 1e6 will do. Raises UserError otherwise."""
    found = []
    for text in flags.FLAGS[flag].value:
        try:
            value = float(text)
        except ValueError:
            value = 0.0
        if value < 1 or value != int(value):
            raise UserError(f"--{flag}={text}: not a positive integer")
        found.append(int(value))
    return sorted(set(found))
