"""Names are the field's terms: of what a table in here bans, nothing is defined anywhere."""

import ast
import re
import subprocess

import pytest
from scripts import ROOT

# Words of a name, whatever stands beside them; behind each what to say.
WORDS = {
    "place": "index, position, slot or folder",
    "places": "indices, positions, slots or folders",
    "folding": "table_ops",
    "claim": "deduplicate",
    "owner": "representative",
    "owners": "representatives",
    "speaks": "is_representative",
    "slab": "row_grads",
    "joining": "warm_start, merge_vocabs",
    "carried": "transfer_rows",
    "numbering": "tokenizer, WordTable",
    "pruning": "lossy_counting",
    "tally": "counter",
    "generations": "IdRemap",
    "halo": "margin",
    "member": "trial",
    "members": "trials",
    "lane": "vmap_width",
    "lanes": "vmap_width",
    "deal": "shard",
    "dealt": "sharded",
    "alive": "active",
    "keeper": "CheckpointPolicy",
    "ledger": "MetricAccumulator",
    "following": "train_loop, upcoming",
    "continuing": "warm_start",
    "detectable": "minimum_detectable_effect",
    "decided": "significant",
    "peer": "baseline",
    "peers": "baselines",
    "entrant": "entry",
    "entrants": "entries",
}
# Whole names.
NAMES = {
    "at": "index, position or offset",
    "Earlier": "Pretrained",
    "Stream": "SampledChunk",
    "Hyper": "HyperParams",
    "Static": "StaticConfig",
    "band": "context_weights",
    "frozen": "diverged",
    "identity_of": "fingerprint_of",
    "noise_word": "negative",
    "noise_words": "negatives",
    "noise_law": "NOISE, the negative-sampling distribution",
    "shared_noise": "negatives_per_group",
    "one_step": "train_step",
    "advance": "train_steps",
    "apply_batch": "update_step",
}
# What the words mean elsewhere: a file of a zip archive, an output of the process, the
# field's own term, a band of a plot.
ALLOWED = {
    ("w2v_jax/vectors/npz.py", "member"),
    ("experiments/cli/streams.py", "_Stream"),
    ("experiments/report/stats.py", "minimum_detectable_effect"),
    ("tests/sweeps/test_sweep_plot.py", "band"),
    ("tests/sweeps/test_sweep_table.py", "frozen"),  # results.jsonl's frozen_step
}


def sources():
    """Paths of the Python files that are under version control, or would be."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.split() if (ROOT / name).exists()]


def defined(tree):
    """Names that a module defines: functions, classes, arguments, variables, attributes, flags.

    Not those of tests, which are sentences.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if not node.name.startswith("test_"):
                yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.alias) and node.asname:
            yield node.asname
        elif isinstance(node, ast.Call) and "DEFINE_" in ast.unparse(node.func):
            yield from (arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant))


def instead(name):
    """What to say for a banned name; '' for any other."""
    words = re.findall(r"[A-Z]*[a-z]+|[A-Z]+", name)
    said = [WORDS[word.lower()] for word in words if word.lower() in WORDS]
    return NAMES.get(name.strip("_"), "") or "; ".join(said)


@pytest.mark.parametrize(
    ("name", "banned"),
    [
        ("place", True),
        ("_old_places", True),
        ("CheckpointKeeper", True),
        ("PLACES", True),
        ("at", True),
        ("_Hyper", True),
        ("replace", False),
        ("HyperParams", False),
        ("rate_at", False),
        ("trial", False),
    ],
)
def test_a_name_is_banned_by_its_words(name, banned):
    assert bool(instead(name)) is banned


def test_what_is_defined_is_found():
    code = "class A:\n    def f(self, b, *c, d=1):\n        self.e, g = b\nimport h as i"
    code += "\nfor j in k: flags.DEFINE_string('l', m)"
    assert set(defined(ast.parse(code))) == set("Afbcdegijl") | {"self"}


def test_names_are_the_fields_terms():
    wrong = set()
    for path in sources():
        modules = re.split(r"[/.]", path.removesuffix(".py"))
        if modules[-1].startswith("test_"):
            modules = modules[:-1]
        for name in [*modules, *defined(ast.parse((ROOT / path).read_text(encoding="utf-8")))]:
            if instead(name) and (path, name) not in ALLOWED:
                wrong.add(f"{path}: {name}: say {instead(name)}")
    assert not wrong, "\n".join(sorted(wrong))
