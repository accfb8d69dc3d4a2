"""Runs the commands that README shows, one after the other, at a small size, in a folder.

python .ci/readme_commands.py FOLDER
"""

import lzma
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SMALL = {
    "train_corpus": ["--max_words=60000", "--epochs=1"],
    "ptb_ablation": ["--max_words=30000", "--epochs=1", "--seeds=2"],
}


def main(folder: Path) -> None:
    """Each command ends with status 0."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Four commands")[2]
    block = re.search(r"```sh\n(.*?)```", text, re.DOTALL)
    sample = ROOT / "w2v_jax" / "resources" / "wiki_sample.txt.xz"
    (folder / "text.txt").write_bytes(lzma.decompress(sample.read_bytes()))
    (folder / "experiments").symlink_to(ROOT / "experiments")
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    commands = block.group(1).splitlines() if block else []
    if len(commands) != 4:
        sys.exit(f"README shows {len(commands)} commands, not four")
    for line in commands:
        _, _, module, *given = shlex.split(line)
        more = SMALL.get(module.rpartition(".")[2], [])
        print(f"$ {line} {' '.join(more)}", flush=True)
        subprocess.run(
            [sys.executable, "-m", module, *given, *more], cwd=folder, env=env, check=True
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
