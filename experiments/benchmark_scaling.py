"""What replicas would bring on 1 to 64 devices: a model, fitted to what is measured here.

python -m experiments.benchmark_scaling --workdir=OUT

Measures steps of the blocks engine at several batch sizes and embedding sizes, the passes of a
meeting over the tables, and what two processes exchange through memory and through loopback. Fits
a model of a step and of a meeting to it. Says what it makes of an epoch on this machine, and on
GPUs whose steps and links are named with their source. Leaves results.jsonl, table.md, scaling.png.
"""

from experiments.benchmarks.scaling import report
from experiments.cli import command

if __name__ == "__main__":
    report.define_flags()
    command.start(report.main, __doc__)
