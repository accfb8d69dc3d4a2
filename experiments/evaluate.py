"""Word vectors against people's judgements: word pairs, analogies and categories, with coverage.

python -m experiments.evaluate --run=OUT
python -m experiments.evaluate --run=OUT --suite --suite_dir=FOLDER --against=OTHER
python -m experiments.evaluate --vectors=FILE --pairs=FILE --analogies=FILE
python -m experiments.evaluate --corpus=FILE --suite
"""

from experiments.cli import command
from experiments.runs import evaluate_command

if __name__ == "__main__":
    evaluate_command.define_flags()
    command.start(evaluate_command.main, __doc__)
