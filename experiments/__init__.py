"""Entry points: flags become one Config, the Config becomes a run directory."""

import time

STARTED = time.time()  # summary.json's total_sec counts from here, before JAX is imported

from experiments import xla_flags  # noqa: E402 (before JAX starts)

XLA_NOTE = xla_flags.avoid_slow_scatter()
