"""What is declared, what is carried and under which terms, and what a wheel holds."""

import ast
import configparser
import hashlib
import json
import lzma
import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import pytest
from scripts import in_a_process

ROOT = Path(__file__).resolve().parents[2]
RESOURCES = ROOT / "w2v_jax" / "resources"
MODULES = {  # of distributions that go by another name
    "absl-py": "absl",
    "orbax-checkpoint": "orbax",
    "scikit-learn": "sklearn",
}
# Optional, and told when it is missing: the loop of a baseline that a user sets up himself.
OUTSIDE = {"torch"}


def settings():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def required(text):
    names = [re.match(r"[\w-]+", line).group() for line in text.split("\n") if line.strip()]
    return {MODULES.get(name, name) for name in names}


def imported(folder):
    """module -> the files of a folder that import it, at their top or in a function."""
    found = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            for name in names:
                found.setdefault(name.split(".")[0], []).append(str(path.relative_to(ROOT)))
    return {n: where for n, where in found.items() if n not in sys.stdlib_module_names}


@pytest.mark.parametrize("folder", ["w2v_jax", "experiments"])
def test_whatever_is_imported_is_declared(folder):
    declared = required(settings()["options"]["install_requires"])
    for extra, names in settings()["options.extras_require"].items():
        declared |= required(names) if extra != "dev" else set()
    known = (
        declared | {"w2v_jax"} | ({"experiments"} | OUTSIDE if folder == "experiments" else set())
    )
    assert {n: where for n, where in imported(folder).items() if n not in known} == {}


def test_readmes_first_command_needs_nothing_that_some_python_lacks():
    first = next(line for line in (ROOT / "README.md").read_text().split("\n") if "venv" in line)
    extras = re.findall(r"\[([\w,]+)\]", first)
    needed = required(settings()["options"]["install_requires"])
    for extra in ",".join(extras).split(","):
        needed |= required(settings()["options.extras_require"][extra]) if extra else set()
    assert "matplotlib" in needed
    assert "gensim" not in needed  # no wheel for Python 3.14, and its source doesn't build there


def test_notice_names_every_packaged_file_and_its_bytes():
    notice = (ROOT / "NOTICE").read_text()
    entries = dict(re.findall(r"^(w2v_jax/resources/\S+)\n((?:  .*\n)+)", notice, re.MULTILINE))
    files = {f"w2v_jax/resources/{p.name}": p for p in RESOURCES.iterdir() if p.is_file()}
    assert set(entries) == {name for name in files if not name.endswith(".py")}
    for name, entry in entries.items():
        raw = files[name].read_bytes()
        assert len(raw) < 500_000
        digests = [raw, lzma.decompress(raw)] if name.endswith(".xz") else [raw]
        assert re.findall(r"sha256 (\w+)", entry)[-len(digests) :] == [
            hashlib.sha256(each).hexdigest() for each in digests
        ]
        assert "Licence: " in entry and re.search("Origin: |Titles: ", entry)


def test_licence_and_citation_are_those_of_the_package():
    metadata = settings()["metadata"]
    licence = (ROOT / "LICENSE").read_text()
    assert "Apache License" in licence[:100] and "END OF TERMS AND CONDITIONS" in licence
    assert metadata["license"].startswith("Apache-2.0")
    cited = dict(
        re.findall(r"^([\w-]+): +(.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    )
    assert cited["cff-version"] == "1.2.0" and cited["license"] == "Apache-2.0"
    assert cited["version"] == metadata["version"]
    assert cited["title"].strip('"').startswith(metadata["name"])


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel built from a copy of the checkout, without a network."""
    try:
        found = version("setuptools")
    except PackageNotFoundError:
        found = "0"
    if int(found.split(".")[0]) < 77:
        pytest.skip(f"setuptools 77 is needed to build, {found} is there")
    folder = tmp_path_factory.mktemp("build")
    for name in ("w2v_jax", "experiments", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "NOTICE", "CITATION.cff"):
        shutil.copy(ROOT / name, folder)
    program = "from setuptools.build_meta import build_wheel; build_wheel('out')"
    built = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert built.returncode == 0, built.stderr
    (path,) = (folder / "out").glob("*.whl")
    return path


@pytest.mark.slow
def test_a_wheel_holds_the_package_its_data_and_its_terms_alone(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    info = {name for name in names if name.startswith("w2v_jax-")}
    package = {
        str(path.relative_to(ROOT).as_posix())
        for path in (ROOT / "w2v_jax").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.name != "README.md"
    }
    assert "w2v_jax/py.typed" in package
    assert names - info == package
    for name in ("LICENSE", "NOTICE"):
        (where,) = (n for n in info if n.endswith(f".dist-info/licenses/{name}"))
        assert zipfile.ZipFile(wheel).read(where) == (ROOT / name).read_bytes()


@pytest.mark.slow
def test_an_installed_wheel_finds_its_data(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    program = """
import pathlib
import w2v_jax as w2v
from w2v_jax.data import sources
assert "site" in pathlib.Path(w2v.__file__).parts
sentences = [["love", "tiger", "sex", "cat"]] * 300
run = w2v.train(sentences, dim=4, epochs=1, batch_size=128)
run.save("vectors.bin")
vectors = w2v.load("vectors.bin", limit=3)
totals = {m.total for m in run.evaluate()}
print(len(run.most_similar("love")), len(vectors), totals >= {353, 19544})
print(next(sources.read_chunks(sources.locate("wiki_sample").paths, 99)).data[:9])
"""
    told = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert told.stdout.split("\n") == ["3 3 True", "b'anarchism'", ""], told.stderr


@pytest.mark.slow
def test_the_quickstart_needs_neither_network_nor_gensim(tmp_path, monkeypatch):
    (tmp_path / "gensim.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.delenv("W2V_JAX_DATA", raising=False)
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nobody answers there
    flagfile = f"--flagfile={ROOT / 'experiments' / 'flagfiles' / 'quickstart.cfg'}"
    small = ("--epochs=1", "--max_words=50000", "--dim=16", "--noplots", "--workdir=out")
    ended = in_a_process(tmp_path, "ptb_skipgram", flagfile, *small)
    assert ended.returncode == 0, ended.stderr
    assert "so wiki_sample is used instead" in ended.stderr
    found = json.loads((tmp_path / "out" / "summary.json").read_text())["evaluation"]
    asked = {"wordsim353_spearman", "google_analogies_accuracy"}
    asked |= {"simlex999_spearman"} if find_spec("svd2vec") else set()
    assert all(found[name]["value"] is not None for name in asked)
    assert "nearest words" in ended.stdout
