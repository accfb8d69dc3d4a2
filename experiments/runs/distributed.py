"""--distributed: which of a run's processes this is, and `jax.distributed`, which joins them."""

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
from absl import flags
from jax._src import clusters  # what `jax.distributed.initialize` itself asks
from jax._src import distributed as of_jax  # its store has no public name; Orbax takes it here
from jax.errors import JaxRuntimeError

from experiments.cli import command, console
from experiments.runs import abort, signals
from w2v_jax.types import UserError

OFF, AUTO = "off", "auto"
HEARTBEAT = 20  # seconds without a sign of life after which a process counts as lost
JOIN = 120  # seconds that processes wait for each other at the start
STARTED = "W2V_JAX_STARTED"  # in the environment of a process that another has started
LOST = "error: a process of the run was lost; the same command goes on from the last checkpoint"


class Given(NamedTuple):
    """A process among others."""

    address: str  # HOST:PORT of process 0
    processes: int
    number: int  # of this one
    devices: list[int] | None = None  # those of this machine that are its own; None: all

    def refused(self, cause: str) -> UserError:
        """What is wrong with --distributed."""
        text = flags.FLAGS.distributed
        text = f"{self.address},{self.processes},{self.number}" if text == OFF else text
        return UserError(f"--distributed={text}: {cause}")


def is_started() -> bool:
    """Whether another process of the run has started this one."""
    return bool(os.environ.get(STARTED)) and flags.FLAGS["distributed"].value != OFF


def given() -> Given | None:
    """What --distributed says; None: off. Raises UserError."""
    text = flags.FLAGS["distributed"].value if "distributed" in flags.FLAGS else OFF
    if text in (OFF, ""):
        return None
    return _detected() if text == AUTO else _parsed(text)


def _parsed(text: str) -> Given:
    try:
        address, count, own = text.split(",")
        count, own = int(count), int(own)
        host, colon, port = address.rpartition(":")
        if not host or not colon or not 0 <= int(port) < 2**16 or not 0 <= own < count:
            raise ValueError
    except ValueError as error:
        raise UserError(f"--distributed={text}: not auto, off or HOST:PORT,N,I") from error
    return Given(address, count, own)


def _detected() -> Given:
    """What the launcher's environment says. Raises UserError where there is none."""
    address = os.environ.get("JAX_COORDINATOR_ADDRESS")
    try:
        found = clusters.ClusterEnv.auto_detect_unset_distributed_params(
            *(address, None, None, None, None, JOIN)
        )
    except Exception as error:  # a launcher's own packages raise what they like
        raise UserError(f"--distributed=auto: {' '.join(str(error).split())}") from error
    if None in found[:3]:
        raise UserError(
            "--distributed=auto: no SLURM step (srun), Open MPI (mpirun), Kubernetes job or TPU "
            "pod was found here: give --distributed=HOST:PORT,N,I"
        )
    address, count, own, devices = found
    return Given(address, count, own, _visible(devices))


def _visible(devices: list[int] | None) -> list[int] | None:
    """The same where the launcher shows each process its own GPUs alone, which count from 0."""
    shown = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    if devices is None or not shown:
        return devices
    return [device % len(shown.split(",")) for device in devices]


@contextlib.contextmanager
def joined(given: Given) -> Iterator[Any]:
    """From here to the end JAX knows all processes; gives its store of keys and values.

    It must be called before JAX starts. Raises UserError where the others can't be met.
    """
    missing = f"not all of its {given.processes} processes came within {JOIN} s"
    line = abort.Line(f"error: {given.refused(missing)}", command.BAD_INPUT)
    _check_address(given)
    with abort.told(line):
        with signals.at_once():
            jax.distributed.initialize(
                *(given.address, given.processes, given.number, given.devices),
                cluster_detection_method="deactivate",  # it was asked
                initialization_timeout=JOIN,
                heartbeat_timeout_seconds=HEARTBEAT,
            )
        line.text, line.status = LOST, abort.LOST
        yield of_jax.global_state.client


def tells_of_loss(error: BaseException) -> bool:
    """Whether this is what JAX raises where it no longer reaches another process."""
    if isinstance(error, JaxRuntimeError):
        return "RESOURCE_EXHAUSTED" not in str(error)
    return isinstance(error, ValueError) and "Gloo" in str(error)  # in a first collective


def end_for_loss() -> None:
    """Says that another was lost, unless whoever watches them can say more, and ends."""
    time.sleep(1)
    console.error(LOST)
    os._exit(abort.LOST)


def _check_address(given: Given) -> None:
    """Raises UserError where process 0 can't listen, or no other can reach it.

    JAX would share a port that another job listens on, and take that for its own; and it would
    abort where nobody answers.
    """
    host, _, port = given.address.rpartition(":")
    if given.number == 0:
        _check_free(given, int(port))
    else:
        _reach(given, host.strip("[]"), int(port))


def _check_free(given: Given, port: int) -> None:
    try:
        with socket.create_server(("", port)):
            pass
    except OSError as error:
        raise given.refused(f"port {port}: {os.strerror(error.errno)}") from error


def _reach(given: Given, host: str, port: int) -> None:
    until = time.monotonic() + JOIN
    while True:
        try:
            socket.create_connection((host, port), 5).close()
            return
        except OSError as error:
            told = error.strerror or str(error)
            if isinstance(error, socket.gaierror) and flags.FLAGS.distributed != AUTO:
                raise given.refused(f"{host}: {told}") from error
            if time.monotonic() > until:
                cause = f"no process 0 at {host}:{port} within {JOIN} s ({told})"
                raise given.refused(cause) from error
        time.sleep(0.2)
