"""A text as large as asked for, made of another's lines, repeated and shuffled.

python -m experiments.grow_corpus --corpus=FILE_OR_GLOB --words=1e9 --files=8 --workdir=OUT

Copies of the text follow one another, each with its lines in an order of its own, until there are
--words words; the line that reaches them is the last. Leaves part-00.txt, .., of about as many
words each, which together are those copies in turn. Lines have single blanks between their words,
blank ones are left out. Memory: the text, and 24 bytes a line.
"""

from experiments.benchmarks import grow_corpus
from experiments.cli import command

if __name__ == "__main__":
    grow_corpus.define_flags()
    command.start(grow_corpus.main, __doc__)
