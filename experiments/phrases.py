"""Phrases: words that stand together more often than by chance, joined in a new text.

python -m experiments.phrases --corpus=FILE --output=FILE.gz
python -m experiments.phrases --corpus=FILE --score=npmi --threshold=0.6 --output=FILE.gz

"new york" becomes new_york. The same command with the new text as --corpus makes phrases of three
and four words. Scores are word2phrase's and NPMI as gensim defines them. The text is read twice and
streamed; counts of words and of neighbouring pairs are in memory, at most --max_types of them.
"""

from experiments.cli import command
from experiments.runs import phrases_command

if __name__ == "__main__":
    phrases_command.define_flags()
    command.start(phrases_command.main, __doc__)
