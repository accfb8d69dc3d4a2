"""Times of kernels out of a profile that `jax.profiler.trace` has left."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from jax.profiler import ProfileData

from w2v_jax.types import UserError

OPERATIONS = "XLA Ops"  # a TPU's line of single operations; its other lines sum them up
STREAM = "Stream"  # how a GPU's lines of kernels begin
CPU_PLANE, CPU_LINE = "/host:CPU", "tf_XLA"
NO_WORK = ("ThreadpoolListener::", "end: ", "ThunkExecutor::", "Wait", "TfrtCpuExecutable")


class Event(NamedTuple):
    """What ran once on one line."""

    name: str
    start: float  # ns
    duration: float  # ns


class Kernel(NamedTuple):
    """What ran under one name."""

    name: str
    ns: float  # of its own: without the events inside its events
    calls: int


def kernels(folder: Path) -> list[Kernel]:
    """All kernels of the only trace below a folder, the longest first.

    Raises UserError where there is no trace, or no kernel in it.
    """
    paths = sorted(folder.rglob("*.xplane.pb"))
    if not paths:
        raise UserError(f"{folder}: the profiler left no trace")
    found = summed(lines_of_device(ProfileData.from_file(str(paths[-1])).planes))
    if not found:
        raise UserError(f"{paths[-1]}: holds no kernel of the device")
    return found


def lines_of_device(planes: Iterable) -> Iterator[list[Event]]:
    """The lines on which a device's kernels stand; of a CPU the threads of XLA.

    planes: of names and lines, these of names and events, as `jax.profiler.ProfileData` has them.
    """
    planes = list(planes)
    devices = [plane for plane in planes if plane.name.startswith("/device:")]
    found = [list(plane.lines) for plane in devices]
    for begins in (STREAM, OPERATIONS, ""):
        chosen = [line for lines in found for line in lines if line.name.startswith(begins)]
        if chosen:
            break
    else:
        chosen = [
            line
            for plane in planes
            if plane.name == CPU_PLANE
            for line in plane.lines
            if line.name.startswith(CPU_LINE)
        ]
    for line in chosen:
        events = (Event(e.name, e.start_ns, e.duration_ns) for e in line.events)
        yield [event for event in events if not event.name.startswith(NO_WORK)]


def summed(lines: Iterable[list[Event]]) -> list[Kernel]:
    """Time of its own and calls by name, over all lines, the longest first."""
    times: dict[str, float] = {}
    calls: dict[str, int] = {}
    for events in lines:
        for event, own in own_times(events):
            times[event.name] = times.get(event.name, 0.0) + own
            calls[event.name] = calls.get(event.name, 0) + 1
    found = [Kernel(name, ns, calls[name]) for name, ns in times.items()]
    return sorted(found, key=lambda kernel: -kernel.ns)


def own_times(events: list[Event]) -> Iterator[tuple[Event, float]]:
    """Each event of a line with its time less that of the events directly inside it.

    A loop's event encloses those of its body: added up they would count twice.
    """
    around: list[list] = []  # events that the next may lie in, [event, time inside it]
    for event in sorted(events, key=lambda e: (e.start, -e.duration)):
        while around and event.start >= around[-1][0].start + around[-1][0].duration:
            done, inside = around.pop()
            yield done, max(done.duration - inside, 0.0)
        if around:
            around[-1][1] += event.duration
        around.append([event, 0.0])
    for done, inside in reversed(around):
        yield done, max(done.duration - inside, 0.0)
