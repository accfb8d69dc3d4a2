"""How stable nearest neighbours are over members of a sweep or runs, and their mean table.

python -m experiments.ptb_ablation --flagfile=experiments/flagfiles/ptb_skipgram.cfg \\
    --bootstrap=16 --save_vectors --workdir=SWEEP
python -m experiments.stability --sweep=SWEEP

Members differ by their seed, and with --bootstrap by the text whose lines were drawn anew. Leaves
stability.md, stability.png, stability.jsonl with a line a word, and mean-N.txt, the mean of a
setting's aligned tables.
"""

from experiments.cli import command
from experiments.sweeps import stability_command

if __name__ == "__main__":
    stability_command.define_flags()
    command.start(stability_command.main, __doc__)
