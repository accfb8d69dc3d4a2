"""Entry points: flags become one Config, the Config becomes a run directory."""

import time

STARTED = time.time()  # summary.json's total_sec counts from here, before JAX is imported
