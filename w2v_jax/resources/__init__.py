"""Data files that come with the package (NOTICE says whose they are), and where SimLex-999 is."""

import hashlib
import importlib.resources
from importlib.util import find_spec
from pathlib import Path

# SimLex-999 is published without a licence, so it is not carried but read from where it lies.
SIMLEX_IN = (
    ("svd2vec", "datasets/similarities/simlex999.txt"),
    ("gensim", "test/test_data/simlex999.txt"),
)
SIMLEX_SHA256 = "8597b333096269fdd636baa805df3b8ff5fca694548201477a8da3d016cca4d0"  # of its pairs
NO_SIMLEX = (
    "no SimLex-999: it has no licence that lets this package carry it "
    "(pip install 'w2v_jax[eval]' brings it)"
)


def packaged(file: str) -> Path:
    """A file of this package."""
    return Path(str(importlib.resources.files(__name__) / file))


def simlex999() -> Path | None:
    """SimLex-999 (999 lines `word word score`) in an installed package, which is not imported.

    None where no package has it with the pairs and scores as published. Source: Hill et al. 2015.
    """
    for package, file in SIMLEX_IN:
        spec = find_spec(package)
        for folder in (spec and spec.submodule_search_locations) or ():
            path = Path(folder) / file
            if path.is_file() and _sha256_of_pairs(path) == SIMLEX_SHA256:
                return path
    return None


def _sha256_of_pairs(path: Path) -> str:
    lines = (line.strip() for line in path.read_bytes().splitlines())
    pairs = b"\n".join(line for line in lines if line and not line.startswith(b"#"))
    return hashlib.sha256(pairs).hexdigest()
