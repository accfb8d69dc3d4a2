"""A random search with gensim's Word2Vec on Penn Treebank: a line of results for each setting.

python -m experiments.gensim_search --data_dir=DIR --points=100 --workdir=OUT
python -m experiments.gensim_search --data_dir=DIR --only=TRIAL --seeds=5 --workdir=OUT

The second command trains one of the search's settings again, with seeds that the search did not
use. The same command again goes on where it stopped. Leaves results.jsonl and items/TRIAL.npz.
"""

from experiments.benchmarks import gensim_search
from experiments.cli import command

if __name__ == "__main__":
    gensim_search.define_flags()
    command.start(gensim_search.main, __doc__)
