"""Neighbours, analogies and other questions about word vectors.

python -m experiments.query --run=OUT
python -m experiments.query --run=OUT --similar=chip,toyota --topk=5
python -m experiments.query --run=OUT --analogy=king,man,queen --analogy_score=cosine
python -m experiments.query --run=OUT --ask="king - man + woman" --json

Without a question it shows a prompt, whose ? lists what can be asked; from a pipe it reads a
question a line.
"""

from experiments.cli import command
from experiments.runs import query_command

if __name__ == "__main__":
    query_command.define_flags()
    command.start(query_command.main, __doc__)
