"""A run's word vectors in any format, plots and measures, at its end or its newest checkpoint.

python -m experiments.export --run=OUT --formats=text,binary,npz,projector --plots --evaluate
python -m experiments.export --run=OUT --formats=npz --output=DIR

A run that was interrupted may so be ended early; its own command goes on with it all the same, and
makes these files anew at its end.
"""

from experiments.cli import command
from experiments.runs import export_command

if __name__ == "__main__":
    export_command.define_flags()
    command.start(export_command.main, __doc__)
