"""The best of two searches: chosen on one half of the word pairs, judged on the other.

python -m experiments.search_report --ours=OUT1 --gensim=OUT2 --ours_judge=OUT3 --workdir=OUT

--ours is ptb_ablation's folder with --design=random, --gensim is gensim_search's. --ours_judge and
--gensim_judge hold the chosen settings trained again with other seeds; lines with "role": "judge"
in the searches' own folders count too. Leaves report.md and search.png.
"""

from experiments.cli import command
from experiments.sweeps import search_report

if __name__ == "__main__":
    search_report.define_flags()
    command.start(search_report.main, __doc__)
