"""A Wikipedia dump as a text like README's: a-z and single digits, a paragraph a line.

python -m experiments.wikipedia_text --dump=enwiki-pages-articles.xml.bz2 --output=wiki17m.txt.xz

Wikimedia publishes dumps of all Wikipedias. The articles come in the dump's order. Headings, lists,
tables, notes and templates are left out, and paragraphs of fewer than five words. A dump is read as
it is unpacked, and no further than --words need. Of another language's letters none but a-z stay.
"""

from experiments.benchmarks import wikipedia_text
from experiments.cli import command

if __name__ == "__main__":
    wikipedia_text.define_flags()
    command.start(wikipedia_text.main, __doc__)
