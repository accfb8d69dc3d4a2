"""What the READMEs show runs: Python blocks as they stand, commands as far as their flags."""

import lzma
import re
import runpy
import shlex
import sys

import pytest
from absl import flags
from scripts import ROOT

import w2v_jax.core
from w2v_jax.data.sources import locate

READMES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [*ROOT.glob("README*.md"), *ROOT.glob("*/README.md"), *ROOT.glob("*/*/README.md")]
)


def blocks(name, language):
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / name).read_text(), re.M | re.S)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["README.md"])  # the Korean one has the same code
def test_the_python_of_the_readme_runs(name, tmp_path, monkeypatch, capsys):
    with lzma.open(locate("wiki_sample").paths[0], "rt", encoding="utf-8") as file:
        (tmp_path / "text.txt").write_text(file.read(400_000), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    found = blocks(name, "python")
    assert len(found) >= 3
    for code in found:
        exec(compile(code, name, "exec"), vars(w2v_jax.core).copy())
    printed = capsys.readouterr().out
    assert "wordsim353_spearman" in printed and "noise_power" in printed
    assert (tmp_path / "vectors.txt").exists()


def commands():
    for name in READMES:
        for block in blocks(name, "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                if match := re.search(r"python -m experiments\.([\w.]+)(.*)", line):
                    yield pytest.param(match[1], match[2], id=f"{name}: {match[1]}")


@pytest.mark.parametrize(("command", "arguments"), list(commands()))
def test_the_commands_of_the_readmes_have_these_flags(command, arguments, monkeypatch):
    from experiments.cli import command as cli

    class Parsed(Exception):
        pass

    def parsed(main, doc):
        cli._parse([command, *shlex.split(arguments)], doc)
        raise Parsed

    before = set(flags.FLAGS)
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(cli, "start", parsed)
    monkeypatch.setattr(sys, "argv", [command])
    try:
        with pytest.raises(Parsed):
            runpy.run_path(
                str(ROOT / "experiments" / f"{command.replace('.', '/')}.py"), run_name="__main__"
            )
    finally:
        for name in set(flags.FLAGS) - before:
            delattr(flags.FLAGS, name)


def structure(name):
    """Code, targets of links and pictures, levels of headings, figures of the tables' rows."""
    code = re.compile(r"^```.*?^```$|^ {4}[^\n]*$", re.M | re.S)
    text = (ROOT / name).read_text(encoding="utf-8")
    prose = code.sub("", text)
    return {
        "code": code.findall(text),
        "targets": re.findall(r"(!?)\[[^\]]*\]\(([^)]*)\)", prose),
        "headings": re.findall(r"^#+(?= )", prose, re.M),
        "rows": [re.findall(r"\||[\d.]*\d", row) for row in re.findall(r"^\|.*", prose, re.M)],
    }


def test_the_korean_readme_shows_what_the_english_one_shows():
    english, korean = structure("README.md"), structure("README.ko.md")
    assert all(english.values())
    other = {"README.ko.md": "README.md"}  # each links the other in the same place
    english["targets"] = [(mark, other.get(to, to)) for mark, to in english["targets"]]
    assert korean == english
