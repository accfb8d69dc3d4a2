"""A sweep's table and pictures, made again from its folder without training.

python -m experiments.ablation_report --workdir=OUT

OUT is a folder of ptb_ablation, whole or not yet; of its files results.jsonl and settings.json are
enough, with items/ or over_items.npz for the intervals over items. Leaves table.md, ablation.png
and differences.png.
"""

import json
from pathlib import Path

from absl import flags

from experiments.cli import command, pictures
from experiments.runs.store import LINES, SETTINGS, Results
from experiments.sweeps import folder as sweep_folder
from w2v_jax.types import UserError


def define_flags() -> None:
    """The report's flags."""
    flags.DEFINE_string("workdir", "", "Folder of the sweep.")
    flags.DEFINE_boolean("plots", True, "Draw the pictures too.")
    pictures.define_flags()


def main() -> None:
    """Reads the folder; writes table and pictures, prints the table."""
    folder = Path(flags.FLAGS.workdir).expanduser()
    for name in (SETTINGS, LINES):
        if not (folder / name).is_file():
            raise UserError(f"--workdir={flags.FLAGS.workdir}: holds no {name} of a sweep")
    results = Results(folder, None, same_machine=False)
    if not {"axes", "base", "design"} <= json.loads((folder / SETTINGS).read_text()).keys():
        raise UserError(f"{folder / SETTINGS}: not the settings of a sweep")
    sweep_folder.report(results, pictures.of_flags() if flags.FLAGS.plots else ())


if __name__ == "__main__":
    define_flags()
    command.start(main, __doc__)
