"""The house: imports go one way, files are short, commands are thin."""

import ast
import re
import subprocess
from pathlib import Path

import pytest
from scripts import ROOT

# A module imports from its own level or a lower one; the first name that fits is its level.
LIBRARY = {
    "w2v_jax.types": 0,
    "w2v_jax.resources": 0,
    "w2v_jax.counting": 0,
    "w2v_jax.data": 1,
    "w2v_jax.vectors": 2,
    "w2v_jax": 3,
}
LEVELS = {
    "w2v_jax": 0,
    "experiments.report": 1,
    "experiments.cli": 2,
    "experiments.runs": 3,
    "experiments.sweeps": 4,
    "experiments.benchmarks": 4,
    "experiments.walkthrough": 5,
    "experiments": 5,
}


def modules():
    for top in ("w2v_jax", "experiments"):
        for path in sorted((ROOT / top).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            yield name.removesuffix(".__init__"), path


MODULES = dict(modules())


def imported(path):
    """Modules of this project that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            each = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in MODULES else node.module for name in each]
        else:
            continue
        yield from (name for name in names if name in MODULES)


IMPORTS = {name: set(imported(path)) for name, path in MODULES.items()}


def package(name, levels):
    return next(p for p in levels if name == p or name.startswith(f"{p}."))


@pytest.mark.parametrize("levels", [LIBRARY, LEVELS], ids=["library", "all"])
def test_no_import_goes_upward(levels):
    wrong = []
    for name, others in IMPORTS.items():
        if levels is LIBRARY and not name.startswith("w2v_jax"):
            continue
        for other in others - {"experiments", "w2v_jax"}:
            own, its = package(name, levels), package(other, levels)
            if levels[its] > levels[own] or (levels[its] == levels[own] and its != own):
                wrong.append(f"{name} -> {other}")
    assert not wrong


def test_the_library_knows_nothing_of_experiments():
    names = [n for n, others in IMPORTS.items() if n.startswith("w2v_jax") and others]
    assert not [n for n in names for other in IMPORTS[n] if other.startswith("experiments")]


def test_no_two_modules_import_each_other():
    done, path = set(), []

    def visit(name):
        assert name not in path, " -> ".join([*path, name])
        if name in done:
            return
        path.append(name)
        for other in sorted(IMPORTS[name]):
            visit(other)
        path.pop()
        done.add(name)

    for name in MODULES:
        visit(name)


def test_files_are_short():
    long = {n: len(p.read_text().splitlines()) for n, p in MODULES.items()}
    commands = {n for n in MODULES if n.count(".") == 1 and n.startswith("experiments.")}
    packages = {n for n in commands if MODULES[n].name == "__init__.py"}
    assert {n: k for n, k in long.items() if n in commands - packages and k > 50} == {}
    assert {n: k for n, k in long.items() if k > 350 and "walkthrough" not in n} == {}
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_what_lies_in_experiments_is_a_command():
    for path in (ROOT / "experiments").glob("*.py"):
        assert path.name == "__init__.py" or '__name__ == "__main__"' in path.read_text(), path


def test_no_module_bears_the_name_of_a_public_function():
    import w2v_jax

    own = {n.rpartition(".")[2] for n in MODULES if re.fullmatch(r"w2v_jax\.\w+", n)}
    assert not own & set(w2v_jax.__all__)


def test_tests_lie_as_the_code_does():
    """Folders of tests are packages of the code, or core: the library's own modules."""
    folders = {p.parent.name for p in (ROOT / "tests").glob("*/test_*.py")}
    known = {n.rpartition(".")[2] for n, p in MODULES.items() if p.name == "__init__.py"}
    assert folders <= known | {"core"}


@pytest.mark.parametrize("folder", ["w2v_jax", "experiments"])
def test_every_package_that_one_works_in_has_a_readme(folder):
    assert (ROOT / folder / "README.md").exists()


def test_links_of_the_readmes_lead_somewhere():
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True)
    for name in listed.stdout.split():
        text = (ROOT / name).read_text()
        for target in re.findall(r"\]\(([^)#\s]+)\)", text):
            if not target.startswith("http"):
                assert (Path(ROOT / name).parent / target).exists(), f"{name}: {target}"


def test_names_in_docstrings_are_there():
    """`module.name` in backticks, where module is one of ours, names something."""
    bases = {}
    for name in MODULES:
        bases.setdefault(name.rpartition(".")[2], []).append(name)
    wrong = []
    for path in MODULES.values():
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef):
                continue
            for module, name in re.findall(r"`(\w+)\.(\w+)`", ast.get_docstring(node) or ""):
                if f"{module}.{name}" in MODULES:
                    continue
                if module in bases and not any(
                    re.search(rf"\b{name}\b", MODULES[one].read_text()) for one in bases[module]
                ):
                    wrong.append(f"{path.name}: {module}.{name}")
    assert not wrong


def test_results_name_no_folder_of_the_machine_that_made_them():
    listed = subprocess.run(
        ["git", "ls-files", "experiments/results"], cwd=ROOT, capture_output=True, text=True
    )
    texts = [n for n in listed.stdout.split() if n.endswith((".json", ".jsonl", ".md", ".cfg"))]
    assert texts
    for name in texts:
        assert not re.search(r"=/\w|\"/\w+/|/home/|/root/", (ROOT / name).read_text()), name


# What writes a file elsewhere than `w2v_jax.data.writing`: it adds to one that is there already,
# fills a folder that appears whole, keeps what a child process prints, or runs on its own.
WRITERS = {
    "w2v_jax.data.writing",
    "w2v_jax.data.id_cache",
    "w2v_jax.data.loader",
    "w2v_jax.data.lossy_counting",
    "experiments.runs.rundir",
    "experiments.runs.store",
    "experiments.cli.streams",
    "experiments.benchmarks.child_process",
    "experiments.benchmarks.killed_runs",
    "experiments.benchmarks.baselines.d2l_training",
    "experiments.benchmarks.baselines.gensim_training",
}


def written(tree):
    """The calls of a file that open one for writing, or write one at once."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        given = [a.value for a in node.args if isinstance(a, ast.Constant)]
        modes = [v for v in given if isinstance(v, str) and set(v) <= set("rwxabt+")]
        writes = name == "open" and any(set(mode) & set("wxa+") for mode in modes)
        if writes or name in ("write_text", "write_bytes", "tofile"):
            yield name


def test_files_appear_whole():
    found = {m for m, path in MODULES.items() if any(written(ast.parse(path.read_text())))}
    assert found - WRITERS == set() and "w2v_jax.data.writing" in found


def test_what_writes_a_file_is_seen():
    for line in ("open(p, 'w')", "p.open('xb')", "p.write_text(x)", "open(p, 'r+b')"):
        assert any(written(ast.parse(line))), line
    for line in ("open(p)", "open(p, 'rb')", "p.read_text()", "file.write(x)"):
        assert not any(written(ast.parse(line))), line
