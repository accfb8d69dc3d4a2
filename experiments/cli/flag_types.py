"""List flags of positive integers."""

from absl import flags

from w2v_jax.types import UserError


def positive(flag: str) -> list[int]:
    """A list flag of positive integers below 2^31, sorted; 1e6 will do.

    Raises UserError for anything else.
    """
    found = []
    for text in flags.FLAGS[flag].value:
        try:
            value = float(text)
        except ValueError:
            value = 0.0
        if not (1 <= value < 2**31 and value == int(value)):  # also false of nan
            raise UserError(f"--{flag}={' '.join(text.split())}: not a positive integer below 2^31")
        found.append(int(value))
    return sorted(set(found))
