"""The sets that word vectors are measured on in papers, and where their files are found.

WordSim-353 and Google's analogies come with this package. The others' licences do not allow it, or
there is none: they are read from a folder that the user has, or from an installed package.
"""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from w2v_jax import resources
from w2v_jax.types import UserError

PAIRS, ANALOGIES, CATEGORIES = "pairs", "analogies", "categories"


class Suite(NamedTuple):
    """A set of judgements."""

    kind: str
    source: str  # the paper
    files: tuple[str, ...]  # what its file or folder is called, in lower case, without a suffix
    packages: tuple[tuple[str, str], ...] = ()  # (package, file in it)


DEEPEST = 3  # folders within --suite_dir
_SVD2VEC = "datasets/similarities/"
SUITES = {
    "wordsim353": Suite(PAIRS, "Finkelstein et al. 2002", ("wordsim353", "combined", "ws353")),
    "wordsim353_similarity": Suite(
        PAIRS,
        "Agirre et al. 2009",
        ("wordsim_similarity_goldstandard", "wordsim353_similarity", "ws353_similarity"),
    ),
    "wordsim353_relatedness": Suite(
        PAIRS,
        "Agirre et al. 2009",
        ("wordsim_relatedness_goldstandard", "wordsim353_relatedness", "ws353_relatedness"),
    ),
    "simlex999": Suite(PAIRS, "Hill et al. 2015", ("simlex-999", "simlex999")),
    "simverb3500": Suite(PAIRS, "Gerz et al. 2016", ("simverb-3500", "simverb3500")),
    "men": Suite(
        PAIRS,
        "Bruni et al. 2014",
        ("men_dataset_natural_form_full", "men3000", "men_dataset", "men"),
        (("svd2vec", f"{_SVD2VEC}men_dataset.txt"),),
    ),
    "rarewords": Suite(
        PAIRS,
        "Luong et al. 2013",
        ("rw", "rarewords", "rarewords2034"),
        (("svd2vec", f"{_SVD2VEC}rarewords.txt"),),
    ),
    "mturk287": Suite(
        PAIRS,
        "Radinsky et al. 2011",
        ("mturk287", "mturk-287", "mtruk", "mturk"),
        (("svd2vec", f"{_SVD2VEC}mturk.txt"),),
    ),
    "mturk771": Suite(PAIRS, "Halawi et al. 2012", ("mturk-771", "mturk771")),
    "rg65": Suite(
        PAIRS, "Rubenstein & Goodenough 1965", ("rg65", "rg-65", "rubenstein_goodenough")
    ),
    "google_analogies": Suite(
        ANALOGIES, "Mikolov et al. 2013", ("questions-words", "google_analogies")
    ),
    "msr_analogies": Suite(
        ANALOGIES,
        "Mikolov, Yih & Zweig 2013",
        ("msr", "msr_analogies"),
        (("svd2vec", "datasets/analogies/msr.txt"),),
    ),
    "bats": Suite(ANALOGIES, "Gladkova et al. 2016", ("bats_3.0", "bats")),
    "ap": Suite(CATEGORIES, "Almuhareb & Poesio 2005", ("ap",)),
    "bless": Suite(CATEGORIES, "Baroni & Lenci 2011", ("bless",)),
    "battig": Suite(CATEGORIES, "Baroni et al. 2010", ("battig",)),
}
PARTS = {  # of Google's analogies, as the paper has them
    "google_analogies_semantic": lambda section: not section.startswith("gram"),
    "google_analogies_syntactic": lambda section: section.startswith("gram"),
}


def files(folder: str = "") -> dict[str, Path]:
    """The sets that are there, in the order of SUITES -> their files, or folders.

    folder: whose files go before those of packages. Raises UserError where it is none.
    """
    path = Path(folder).expanduser() if folder else None
    if path and not path.is_dir():
        raise UserError(f"`suite_dir={folder}`: is not a folder")
    own, folders = _by_name(path) if path else ({}, {})
    packaged = {
        "wordsim353": resources.packaged("wordsim353.tsv"),
        "simlex999": resources.simlex999(),
        "google_analogies": resources.packaged("questions-words.txt.xz"),
    }
    found = {}
    for name, suite in SUITES.items():
        among = {**folders, **own} if suite.kind == ANALOGIES else own
        mine = [among[file] for file in suite.files if file in among]
        there = mine[0] if mine else packaged.get(name) or _in_package(suite)
        if there:
            found[name] = there
    return found


def _by_name(folder: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """Files, and folders, below a folder by their names in lower case, the first of equal ones."""
    files_: dict[str, Path] = {}
    folders_: dict[str, Path] = {}
    for above, folders, names in os.walk(folder):
        if len(Path(above).relative_to(folder).parts) == DEEPEST:
            folders.clear()
        folders.sort()
        for name in folders:
            folders_.setdefault(name.lower(), Path(above) / name)
        for name in sorted(names):
            files_.setdefault(without_suffixes(name.lower()), Path(above) / name)
    return files_, folders_


def without_suffixes(name: str) -> str:
    """A file's name without what tells its packing and its format."""
    for suffix in (".gz", ".bz2", ".xz", ".txt", ".csv", ".tsv", ".dat"):
        name = name.removesuffix(suffix)
    return name


def _in_package(suite: Suite) -> Path | None:
    """In an installed package, which is not imported."""
    for package, file in suite.packages:
        spec = find_spec(package)
        for folder in (spec and spec.submodule_search_locations) or ():
            if (Path(folder) / file).is_file():
                return Path(folder) / file
    return None
