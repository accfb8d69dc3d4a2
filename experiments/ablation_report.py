"""A sweep's table and pictures, made again from its folder without training; or of several sweeps.

python -m experiments.ablation_report --workdir=OUT
python -m experiments.ablation_report --sweep=ONE --sweep=OTHER --workdir=BOTH

OUT is a folder of ptb_ablation, whole or not yet; of its files results.jsonl and settings.json are
enough, with items/ or over_items.npz for the intervals over items. Leaves table.md, .csv, .tex and
.json, ablation.png and differences.png. BOTH is a new folder, with the trials of all.
"""

from pathlib import Path

from absl import flags

from experiments.cli import command, pictures
from experiments.sweeps import folder as sweep_folder
from experiments.sweeps import joined
from w2v_jax.types import UserError


def define_flags() -> None:
    """The report's flags."""
    flags.DEFINE_string("workdir", "", "Folder of the sweep.")
    told = "Folder of a sweep, several times: their trials in one table, in a new --workdir."
    flags.DEFINE_multi_string("sweep", [], told)
    flags.DEFINE_boolean("plots", True, "Draw the pictures too.")
    pictures.define_flags()


def main() -> None:
    """Reads the folder; writes table and pictures, prints the table."""
    values = flags.FLAGS
    formats = pictures.of_flags() if values.plots else ()
    if not values.workdir:
        raise UserError("--workdir=FOLDER is missing")
    folder = Path(values.workdir).expanduser()
    if values.sweep:
        results = joined.join([Path(path).expanduser() for path in values.sweep], folder)
    else:
        results = joined.opened(folder, f"--workdir={values.workdir}")
    sweep_folder.report(results, formats)


if __name__ == "__main__":
    define_flags()
    command.start(main, __doc__)
