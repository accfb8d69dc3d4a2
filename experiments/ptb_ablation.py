"""Sweeps and ablations on Penn Treebank (or any text): many runs as one compiled program.

python -m experiments.ptb_ablation --flagfile=experiments/flagfiles/ptb_skipgram.cfg \\
    --sweep=noise_power=0,0.25,0.5,0.75,1 --sweep=learning_rate=0.3,0.9,1.5 --seeds=5 --workdir=OUT

The flags say the baseline, --sweep what varies. The same command again goes on where it stopped,
a program at a time. OUT/flags.cfg with a line's "flags" in results.jsonl is that trial alone.
"""

from experiments.cli import command, config
from experiments.sweeps import design, folder, halving_rule


def main() -> None:
    """One sweep."""
    folder.run(config.from_flags())


if __name__ == "__main__":
    idle = ("overwrite", "resume", "resident_gb", "checkpoint_every_steps", *config.CONTINUED)
    config.define_flags(idle, model="skipgram")
    design.define_flags()
    folder.define_flags()
    halving_rule.define_flags()
    command.start(main, __doc__)
