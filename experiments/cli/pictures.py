"""--picture_formats: in which formats a command draws its pictures."""

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from experiments.cli.config import PICTURES
from w2v_jax.types import UserError


def define_flags() -> None:
    """For commands without a run's flags."""
    told = f"Formats of pictures, any of {', '.join(PICTURES)}."
    flags.DEFINE_list("picture_formats", ["png"], told)


def of_flags() -> tuple[str, ...]:
    """The formats asked for. Raises UserError for one that is none."""
    given = tuple(flags.FLAGS.picture_formats)
    for name in given:
        if name not in PICTURES:
            raise UserError(f"--picture_formats={name}: not one of {', '.join(PICTURES)}")
    return given


def paths(path: Path, formats: Sequence[str]) -> list[Path]:
    """A picture's files, one in each format."""
    return [Path(path).with_suffix(f".{name}") for name in dict.fromkeys(formats)]
