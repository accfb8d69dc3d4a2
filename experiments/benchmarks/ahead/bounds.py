"""What compiled programs have to keep to: a line a bound, met or not."""

from collections.abc import Callable
from typing import NamedTuple

BLOCKS = ("steps blocks skipgram", "steps blocks cbow")
LARGE = ("steps blocks skipgram V 10^6",)
SWEEP = ("sweep of 8 blocks skipgram",)
ALL_STEPS = (*BLOCKS, *LARGE, *SWEEP)


class Bound(NamedTuple):
    """A figure of programs for a device, and what it may be at most."""

    what: str
    device: str
    programs: tuple[str, ...]
    figure: Callable[[dict], float]  # of a program's line
    most: float


def _unknown_trip_count(line: dict) -> int:
    return int(line["trip_count"] is None)


def _not_donated(line: dict) -> float:
    return max(line["state_mb"] - line["aliased_mb"], 0)


def _expected(line: dict) -> float:
    return 100 * line["expected_mb"] / line["takes_mb"]


def _taken(line: dict) -> float:
    return 100 * line["takes_mb"] / line["expected_mb"]


BOUNDS = (
    Bound("instructions of size V in a step", "v5e", LARGE, lambda x: len(x["sized_v"]), 0),
    Bound("prefetches of size V in a step", "v5e", LARGE, lambda x: len(x["prefetched"]), 0),
    Bound("estimated cycles a step", "v5e", LARGE, lambda x: x["cycles"], 100_000),
    Bound("table copies in a dispatch", "v5e", LARGE, lambda x: x["table_copies"], 0),
    Bound("temporaries, MB", "v5e", LARGE, lambda x: x["temporaries_mb"], 10),
    Bound("temporaries, MB", "v5e", SWEEP, lambda x: x["temporaries_mb"], 300),
    Bound("instructions of size V in a step", "h100", ALL_STEPS, lambda x: len(x["sized_v"]), 0),
    Bound("kernels a step", "h100", (*BLOCKS, *SWEEP), lambda x: x["kernels"], 35),
    Bound("command buffers a step", "h100", ALL_STEPS, lambda x: x["command_buffers"], 1),
    Bound("kernels outside of it", "h100", ALL_STEPS, lambda x: x["outside"], 0),
    Bound("loops of unknown length", "h100", ALL_STEPS, _unknown_trip_count, 0),
    Bound("conditionals in a step", "h100", ALL_STEPS, lambda x: x["conditionals"], 0),
    Bound("host read-backs in a dispatch", "h100", BLOCKS, lambda x: x["read_backs"], 0),
    Bound("compare-and-swaps", "h100", ALL_STEPS, lambda x: x["compare_and_swaps"], 0),
    Bound("state not donated, MB", "h100", SWEEP, _not_donated, 0),
    *(
        Bound(what, device, ALL_STEPS, share, most)
        for device in ("v5e", "h100")
        for what, share, most in (
            ("memory, expected of taken, %", _expected, 220),
            ("memory, taken of expected, %", _taken, 100),
        )
    ),
)


def held(lines: list[dict]) -> list[dict]:
    """Each bound on each program that was compiled: its figure, and whether that keeps to it."""
    found = []
    for bound in BOUNDS:
        for line in lines:
            if line["device"] != bound.device or line["program"] not in bound.programs:
                continue
            figure = bound.figure(line)
            found.append(
                {
                    "bound": bound.what,
                    "program": line["program"],
                    "device": line["device"],
                    "figure": figure,
                    "most": bound.most,
                    "met": figure <= bound.most,
                }
            )
    return found
