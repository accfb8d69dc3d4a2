"""ptb_ablation as a user starts it: members are runs, and an interrupted sweep goes on."""

import json
import shutil

import pytest
from scripts import QUICK, contents, start

TIMES = ("program_train_sec", "program_compile_sec")
AXES = ["--sweep=window=1,2", "--sweep=dim=4,5", "--seeds=2"]
ROOM_FOR_THREE = 8.3e-5  # GB
ONE = ["--cpu_devices=1", "--noperplexity"]  # less to compile


pytestmark = pytest.mark.usefixtures("compiled_once")


@pytest.fixture(scope="module")
def valid(place):
    """PTB's held-out file beside the training file of `place`."""
    path = place / "ptb" / "ptb.valid.txt"
    path.write_text("w1 w2 w3 w4 w5\nw3 w9 w1\nw0 w0 w7 w8\n")
    return path


def lines_of(folder):
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


def without_times(lines):
    return [{k: v for k, v in line.items() if k not in TIMES} for line in lines]


@pytest.fixture(scope="module")
def swept(place, valid):
    out = place / "swept"
    args = [*QUICK, f"--data_dir={place}", f"--workdir={out}", "--plots", "--save_vectors"]
    assert start("ptb_ablation", *args, *AXES, "--cpu_devices=1") == 0
    return out


def test_a_sweep_leaves_a_line_a_member(swept):
    lines = lines_of(swept)
    assert sorted(line["member"] for line in lines) == list(range(8))
    assert {line["program"] for line in lines} == {0, 1}  # a program a size
    for line in lines:
        assert line["heldout_loss"] > 0 and line["perplexity"] > 1 and line["loss"] > 0
        assert line["frozen_step"] is None and line["stopped_epoch"] is None
    assert [line["seed"] for line in lines] == [1, 2] * 4
    for name in ("table.md", "ablation.png", "flags.cfg", "settings.json"):
        assert (swept / name).stat().st_size > 0


@pytest.mark.bits
@pytest.mark.parametrize("number", [1, 2, 7])
def test_a_member_alone_has_the_same_vectors(swept, place, number):
    line = next(line for line in lines_of(swept) if line["member"] == number)
    out = place / f"alone{number}"
    quiet = ["--noevaluate", "--noplots", f"--workdir={out}"]
    assert (
        start("ptb_skipgram", f"--flagfile={swept / 'flags.cfg'}", *line["flags"].split(), *quiet)
        == 0
    )
    alone, member = out / "vectors.txt", swept / "vectors" / f"{number}.txt"
    assert alone.read_bytes() == member.read_bytes()
    summary = json.loads((out / "summary.json").read_text())
    assert summary["final_loss"] == pytest.approx(line["loss"], rel=1e-6)


def test_an_interrupted_sweep_goes_on_with_the_program_it_was_in(swept, place, capsys):
    again = place / "again"
    shutil.copytree(swept, again)
    whole = (again / "results.jsonl").read_text().splitlines()
    (again / "results.jsonl").write_text("\n".join(whole[:5]) + '\n{"member": 5, "pro')
    args = [*QUICK, f"--data_dir={place}", f"--workdir={again}", "--save_vectors", *AXES]
    args.append("--cpu_devices=1")
    assert start("ptb_ablation", *args) == 0
    assert "program 0: 4 members, " not in capsys.readouterr().err  # it was done
    assert without_times(lines_of(again)) == without_times(lines_of(swept))
    before = contents(again)
    assert start("ptb_ablation", *args) == 0
    assert contents(again) == before
    assert start("ptb_ablation", *args, "--epochs=3") == 1
    assert "holds results with" in capsys.readouterr().err


def test_too_many_members_are_split_into_programs_of_one_shape(swept, place, capsys):
    out = place / "split"
    args = [*QUICK, f"--data_dir={place}", f"--workdir={out}", *AXES, "--cpu_devices=1"]
    assert start("ptb_ablation", *args, "--memory_gb=1e-6") == 1
    assert "--memory_gb" in capsys.readouterr().err and not out.exists()
    assert start("ptb_ablation", *args, f"--memory_gb={ROOM_FOR_THREE}") == 0
    assert "2 compilations" in capsys.readouterr().err
    programs = [line["program"] for line in lines_of(out)]
    assert [programs.count(n) for n in range(4)] == [2, 2, 2, 2]  # of one shape
    forget = (*TIMES, "program", "program_members")

    def kept(lines):
        return {x["member"]: {k: v for k, v in x.items() if k not in forget} for x in lines}

    assert kept(lines_of(out)) == kept(lines_of(swept))


def test_a_diverged_member_is_named_and_the_others_are_there(place, valid, capsys):
    out = place / "diverged"
    args = [*QUICK, f"--data_dir={place}", f"--workdir={out}", "--optimizer=sgd", "--seeds=1", *ONE]
    assert start("ptb_ablation", *args, "--sweep=learning_rate=0.1,1e38") == 0
    _, good, bad = lines_of(out)  # the first is the baseline
    assert good["frozen_step"] is None and bad["frozen_step"] == 0
    assert "1e+38" in capsys.readouterr().out


@pytest.mark.bits
def test_a_member_stops_early_at_its_best_heldout_loss(place, valid):
    out = place / "early"
    args = [*QUICK, f"--data_dir={place}", "--epochs=12", "--seeds=1", "--optimizer=sgd", *ONE]
    args += ["--sweep=learning_rate=1e-9,0.5"]
    assert start("ptb_ablation", *args, f"--workdir={out}", "--early_stopping=2") == 0
    _, _, fast = lines_of(out)
    assert fast["stopped_epoch"] is not None
    best = fast["best_epoch"]
    assert best == fast["stopped_epoch"] - 2
    # The rate is constant, so that the run up to its best epoch is the same as a shorter one.
    short = place / "short"
    args += [f"--epochs={best}", f"--workdir={short}"]
    assert start("ptb_ablation", *args) == 0
    assert lines_of(short)[2]["heldout_loss"] == fast["heldout_loss"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--sweep=windo=1,2"], "no flag --windo"),
        (["--sweep=window=1,2", "--static_axes=dim"], "--static_axes=dim"),
        (["--sweep=window=1,2", "--heldout=/no/such"], "/no/such"),
    ],
)
def test_a_mistake_costs_one_line(place, valid, capsys, args, said):
    out = place / "mistake"
    assert start("ptb_ablation", *QUICK, f"--data_dir={place}", f"--workdir={out}", *args) == 1
    error = [x for x in capsys.readouterr().err.splitlines() if x.startswith("error: ")]
    assert len(error) == 1 and said in error[0]
    assert not out.exists()
