"""What Orbax says of a save that fails, which a command tells itself, in one line."""

import functools
import logging
import sys
from collections.abc import Callable


@functools.cache
def orbax() -> None:
    """Silences it for the rest of the process, which must be the command's own."""
    for name in ("absl", "orbax", "asyncio"):  # what fails is raised, and told once
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    sys.unraisablehook = _without_closed_loops(sys.unraisablehook)


def _without_closed_loops(hook: Callable) -> Callable:
    """TensorStore's answers to a save that has failed find its event loop closed: no news."""

    def filtered(unraisable):
        if str(unraisable.exc_value) != "Event loop is closed":
            hook(unraisable)

    return filtered
