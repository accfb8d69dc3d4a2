"""Command lines, flagfiles and sweeps as older versions wrote them."""

from dataclasses import replace

import pytest
from scripts import QUICK, start

from experiments.cli import earlier_arguments, earlier_flags
from experiments.cli.config import RunConfig, resolved, to_flagfile
from experiments.cli.earlier_flags import Renamed
from experiments.runs import run as wiring
from experiments.sweeps import design
from w2v_jax.types import UserError

pytestmark = pytest.mark.usefixtures("compiled_once")


def by_today(*args, known=("update", "drop_last", "window")):
    return earlier_arguments.today(list(args), known, list)


@pytest.fixture
def history(monkeypatch):
    """Two flags that were renamed, and two that were removed."""
    monkeypatch.setitem(
        earlier_flags.RENAMED, "touch", Renamed("update", {"all": "dense", "touched": "sparse"})
    )
    monkeypatch.setitem(earlier_flags.RENAMED, "skip_last", Renamed("drop_last"))
    monkeypatch.setitem(earlier_flags.REMOVED, "haste", "2")
    monkeypatch.setitem(earlier_flags.REMOVED, "greedy", "false")


@pytest.mark.parametrize(
    ("args", "wanted"),
    [
        (["--touch=all"], ["--update=dense"]),
        (["--touch", "all", "--window", "3"], ["--update=dense", "--window", "3"]),
        (["-touch=touched"], ["--update=sparse"]),
        (["--skip_last", "--window=3"], ["--drop_last=true", "--window=3"]),
        (["--noskip_last"], ["--drop_last=false"]),
        (["--haste=2", "--nogreedy"], []),
        (["--haste", "2", "--window=1"], ["--window=1"]),
    ],
)
def test_old_names_are_read_with_a_note(history, args, wanted):
    done, notes = by_today(*args)
    assert done == wanted
    assert notes and all(note.startswith("--") for note in notes)


@pytest.mark.parametrize("args", [["--window=3"], ["--nodrop_last"], ["--other", "touch"]])
def test_todays_names_stay_as_they_are(history, args):
    assert by_today(*args) == (args, [])


@pytest.mark.parametrize("args", [["--haste=3"], ["--haste", "3"], ["--greedy"], ["--greedy=1"]])
def test_a_removed_flag_of_another_value_is_refused(history, args):
    with pytest.raises(UserError, match=f"{args[0].partition('=')[0]}=.*no such flag"):
        by_today(*args)


@pytest.mark.parametrize(
    ("known", "wanted"), [("configurations", "--configurations=4"), ("trials", "--trials=4")]
)
def test_an_old_name_becomes_what_the_script_calls_it(known, wanted):
    done, notes = by_today("--members=4", known=(known, "window"))
    assert done == [wanted] and notes == [f"--members is now --{known}"]


@pytest.mark.slow
def test_a_script_reads_old_names_in_flags_files_and_sweeps(history, text_folder, tmp_path, capsys):
    flagfile = tmp_path / "flags.cfg"
    flagfile.write_text("# older\n--touch=touched\n--haste=2\n")
    args = [*QUICK, f"--data_dir={text_folder}", f"--workdir={tmp_path / 'out'}", "--epochs=1"]
    args += [f"--flagfile={flagfile}", "--optimizer=sgd", "--noskip_last"]
    assert start("ptb_skipgram", *args) == 0
    said = capsys.readouterr().err
    assert "note: --touch is now --update" in said and "note: --haste is no flag any more" in said
    written = (tmp_path / "out" / "flags.cfg").read_text()
    assert "--update=sparse\n" in written and "--touch" not in written


def test_a_sweeps_axes_have_old_names_too(history, tmp_path):
    assert design.parse_axis("touch=all,touched", "grid") == design.Axis(
        "update", ["dense", "sparse"]
    )
    (tmp_path / "configurations").write_text("--touch=all --noskip_last\n")
    assert design._listed(str(tmp_path / "configurations")) == [
        {"update": "dense", "drop_last": False}
    ]


def test_an_older_runs_flags_cfg_is_that_run_whatever_the_scripts_defaults(
    text_folder, tmp_path, monkeypatch
):
    seen = []
    monkeypatch.setattr(wiring, "run", lambda config, *_: seen.append(config))
    config = RunConfig(corpus=str(text_folder / "corpus.txt"), engine="blocks", update="sparse")
    config = replace(config, noise="with_replacement", optimizer="sgd", batch_size=1024)
    lines = to_flagfile(resolved(config)).splitlines(keepends=True)
    flagfile = tmp_path / "flags.cfg"
    flagfile.write_text("".join(x for x in lines if "expected_window" not in x))
    for more in ([], ["--expected_window"], ["--window=3"]):
        assert start("train_corpus", f"--flagfile={flagfile}", *more) == 0
    older, explicit, wider = seen
    assert resolved(older) == resolved(config)
    assert resolved(explicit) == resolved(replace(config, expected_window=True))
    assert resolved(wider) == resolved(replace(config, window=3))
