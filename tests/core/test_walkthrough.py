"""The walk-through: it runs, and what it claims holds; both languages have the same cells."""

import ast
import os
import re
import subprocess
import sys

import pytest
from scripts import ROOT

FOLDER = ROOT / "experiments" / "walkthrough"
HANGUL = re.compile("[\uac00-\ud7a3]")
CODE, TEXT = "# %%", "# %% [markdown]"


def cells(name):
    """[(mark, text)] of a file: everything in it lies in a cell."""
    before, *parts = re.split(r"^(# %%.*)\n", (FOLDER / name).read_text("utf-8"), flags=re.M)
    assert not before
    return list(zip(parts[::2], parts[1::2], strict=True))


EN, KO = cells("en.py"), cells("ko.py")
PAIRS = list(zip(EN, KO, strict=False))


def test_a_file_is_cells_of_text_and_code():
    for mark, text in EN + KO:
        assert mark in (CODE, TEXT)
        if mark == CODE:
            assert ast.parse(text).body
        else:
            lines = text.strip().split("\n")
            assert all(line == "#" or line.startswith("# ") for line in lines)
            assert text.count("`") % 2 == 0 == re.sub("`.*?`", "", text).count("$") % 2


def without_prose(code, other):
    """Dump of the code, without the strings that the two versions have in two languages."""
    tree, tree_of_other = ast.parse(code), ast.parse(other)
    for one, its_twin in zip(ast.walk(tree), ast.walk(tree_of_other), strict=True):
        assert type(one) is type(its_twin)
        if isinstance(one, ast.Constant) and HANGUL.search(f"{one.value}{its_twin.value}"):
            one.value = ""
    return ast.dump(tree)


def in_order(code):
    """The code with the values of each f-string in alphabetical order: languages differ in it."""

    class Sorted(ast.NodeTransformer):
        def visit_JoinedStr(self, node):
            values = [part for part in node.values if isinstance(part, ast.FormattedValue)]
            text = "".join(p.value for p in node.values if isinstance(p, ast.Constant))
            for value in values:
                value.format_spec = None  # the width of a column
            return ast.List([ast.Constant(text), *sorted(values, key=ast.dump)], ast.Load())

    return ast.unparse(Sorted().visit(ast.parse(code)))


def equal(english, korean):
    english, korean = in_order(english), in_order(korean)
    return without_prose(english, korean) == without_prose(korean, english)


def test_both_languages_have_the_same_cells_and_the_same_code():
    assert [mark for mark, _ in EN] == [mark for mark, _ in KO]
    for (mark, english), (_, korean) in PAIRS:
        assert mark == TEXT or equal(english, korean)


def test_the_comparison_sees_code_and_strings_that_are_not_prose():
    same = [('print(f"{a:3} of {b}")', 'print(f"{b:2} 중 {a}")'), ('f("a") # b', 'f("가") # 나')]
    other = [('f("car")', 'f("bus")'), ('f(f"{a} b")', 'f(f"{b} 가")'), ('f("a", 1)', 'f("가", 2)')]
    for english, korean in same + other:
        assert equal(english, korean) == ((english, korean) in same)


def test_both_languages_have_the_same_headings_formulas_and_names():
    assert "".join(text for _, text in EN).isascii()
    for (mark, english), (_, korean) in PAIRS:
        if mark == TEXT:
            assert HANGUL.search(korean)
            for pattern in (r"^# (#+ (?:\d+\.)?)", r"\$\$.*?\$\$"):
                found = [re.findall(pattern, text, re.M | re.S) for text in (english, korean)]
                assert found[0] == found[1]
            names = [set(re.findall(r"`[^`]+`", text)) for text in (english, korean)]
            assert names[0] == names[1]


def test_the_readme_has_the_tables_and_they_name_what_there_is():
    table = [line[2:] for line in EN[-1][1].split("\n") if line.startswith("# |")]
    readme = (FOLDER / "README.md").read_text("utf-8").split("\n")
    assert [line for line in readme if line.startswith("|")] == table
    code = "".join(text for mark, text in EN if mark == CODE)
    core = (ROOT / "w2v_jax" / "core.py").read_text("utf-8")
    named = {name for row in table for name in re.findall(r"`([\w.]+)`", row.split("|")[3])}
    named -= {"bmm"}  # which it replaces
    assert len(named) > 12
    missing = {name for name in named if not re.search(rf"\b{re.escape(name)}\b", code + core)}
    assert missing == set()


def test_a_reader_without_matplotlib_is_told_in_a_line(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("matplotlib", "matplotlib.pyplot"):
        monkeypatch.setitem(sys.modules, name, None)
    first = next(text for mark, text in EN if mark == CODE)
    namespace = {}
    exec(compile(first, "first cell", "exec"), namespace)
    namespace["picture"]("toy", None)
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and "toy.png" in said and "w2v_jax[eval]" in said


@pytest.mark.slow
def test_every_claim_of_the_walk_through_holds(tmp_path):
    env = {"W2V_JAX_SMALL": "1", "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "error::SyntaxWarning", FOLDER / "en.py"],
        cwd=tmp_path,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    pictures = {path.stem for path in (tmp_path / "runs" / "walkthrough").glob("*.png")}
    assert pictures == {"toy", "words", "noise_powers"}
