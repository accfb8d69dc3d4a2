"""Two processes that exchange arrays: what it costs through memory, and through loopback.

`measured` starts it: python -m experiments.benchmarks.scaling.exchange PORT NUMBER FILE END
"""

import json
import os
import socket
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.child_process import ROOT
from w2v_jax import processes, shared_memory
from w2v_jax.types import UserError

ROWS = (64, 4_096, 17_473, 34_947)  # the last: half of 69,893 types
DIM = 100
REPEATS = 15
LIMIT = 120  # seconds that both may take


def measured() -> list[dict]:
    """Lines {way, bytes, seconds}: medians; each process has a core of its own if there are two.

    Raises UserError where a process fails.
    """
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])
    file, ends = shared_memory.make(), shared_memory.connections(2)
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    env = {**os.environ, "PYTHONPATH": path, "JAX_PLATFORMS": "cpu"}
    children = []
    for number, (end,) in enumerate(ends):
        own = [] if file is None else [file, end.fileno()]
        argv = [sys.executable, "-m", "experiments.benchmarks.scaling.exchange", port, str(number)]
        argv += map(str, own)
        output = {"stdout": subprocess.PIPE, "text": True}
        children.append(subprocess.Popen(argv, env=env, pass_fds=own, **output))
    try:
        told = [child.communicate(timeout=LIMIT)[0] for child in children]
    except subprocess.TimeoutExpired as error:
        raise UserError(f"two processes did not exchange their arrays in {LIMIT} s") from error
    finally:
        for child in children:
            child.kill()
            child.wait()
        for (end,) in ends:
            end.close()
        if file is not None:
            os.close(file)
    if any(child.returncode for child in children):
        raise UserError("two processes could not exchange arrays on this machine")
    return json.loads(told[0].strip().splitlines()[-1])


def main(port: str, number: int, shared: list[int]) -> None:
    """One of the two; shared: a file and an end of `shared_memory`, if there are any."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) > 1:
        os.sched_setaffinity(0, {cores[number]})
    jax.distributed.initialize(f"127.0.0.1:{port}", 2, number)
    ways = {"loopback": processes.partners()}
    if shared:
        ends = [socket.socket(fileno=shared[1])]
        ways["memory"] = shared_memory.partners(shared[0], ends, number)
    lines = []
    for way, partners in ways.items():
        for rows in ROWS:
            tables = [jax.random.normal(jax.random.key(number), (rows, DIM))] * 2
            seconds = []
            for _ in range(REPEATS):
                jax.block_until_ready(partners.swap(0, jnp.int32(0)))
                began = time.perf_counter()
                jax.block_until_ready(partners.swap(0, tables))
                seconds.append(time.perf_counter() - began)
            size = sum(table.nbytes for table in tables)
            lines.append({"way": way, "bytes": size, "seconds": float(np.median(seconds))})
    jax.distributed.shutdown()
    print(json.dumps(lines))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), list(map(int, sys.argv[3:])))
