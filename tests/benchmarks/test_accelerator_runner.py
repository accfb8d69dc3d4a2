"""The check of an accelerator: its runner, with processes that stand for the items."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from scripts import ROOT

from experiments.benchmarks.accelerator import item, machine, process, runner, table
from experiments.benchmarks.accelerator.items import ITEMS
from experiments.runs.store import Results
from w2v_jax.types import UserError

GOOD = "print('told'); rows.write_text('{\"batch_size\": 1}\\n')"
FAILS = (
    'rows.write_text(\'{"batch_size": 2}\\n{"error": "ValueError: no"}\\n\'); raise SystemExit(1)'
)
DIES = "import os; print('first'); print('last words\\n', flush=True); os.abort()"
SLEEPS = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])
rows.write_text(f'{{"batch_size": {child.pid}}}\\n{{"batch_')
time.sleep(60)
"""
SETTINGS = {"tiny": True, "corpus": False, "platform": "cpu", "kind": "cpu", "count": 1, "jax": "0"}
HOUR = 3600.0


@pytest.fixture
def started(monkeypatch):
    """number -> code of an item's process (GOOD unless told), and the numbers started so far."""
    codes, numbers = {}, []

    def command(one, rows, spec):
        numbers.append(one.number)
        code = codes.get(one.number, GOOD)
        given = f"from pathlib import Path; rows = Path({str(rows)!r})\n"
        return [sys.executable, "-I", "-S", "-c", given + code]

    monkeypatch.setattr(runner, "command", command)
    return codes, numbers


def run(folder, left=lambda: HOUR, tiny=True, chosen=ITEMS):
    results = Results(folder, {**SETTINGS, "tiny": tiny})
    left_out = runner.run(list(chosen), results, {"tiny": tiny}, left)
    return results, runner.tell(results, left_out)


def gone(pid):
    """Whether a process ends, within some seconds."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.1)
    return False


def test_items_run_in_their_order_and_are_not_run_again(tmp_path, started):
    _, numbers = started
    _, text = run(tmp_path)
    assert numbers == [one.number for one in ITEMS] == list(range(1, 12))
    lines = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert [line["item"] for line in lines] == numbers
    assert {line["status"] for line in lines} == {"done"} and lines[2]["rows"] == [
        {"batch_size": 1}
    ]
    _, again = run(tmp_path)
    assert len(numbers) == 11 and again == text == (tmp_path / "table.txt").read_text()[:-1]


def test_a_failure_costs_its_own_line_and_is_tried_again_last(tmp_path, started):
    codes, numbers = started
    codes |= {3: FAILS, 4: DIES}
    results, text = run(tmp_path, chosen=ITEMS[:5])
    failed, died = results.find(item=3), results.find(item=4)
    assert (failed["status"], failed["error"]) == ("failed", "ValueError: no")
    assert failed["rows"] == [{"batch_size": 2}]  # what it had measured before
    assert died["error"] == "exit status -6: last words"
    assert "failed: ValueError: no" in text and results.find(item=5)["status"] == "done"
    del codes[3], numbers[:]
    results, text = run(tmp_path, chosen=ITEMS[:6])
    assert numbers == [6, 3, 4]
    assert results.find(item=3)["status"] == "done" and "ValueError" not in text


def test_an_item_past_its_limit_ends_with_all_that_it_started(tmp_path, started):
    codes, _ = started
    codes[2] = SLEEPS
    limits = [one._replace(needs_sec=0, limit_sec=2 if one.number == 2 else HOUR) for one in ITEMS]
    results, text = run(tmp_path, tiny=False, chosen=limits[:3])
    line = results.find(item=2)
    assert line["status"] == "over its limit" and line["error"] == "ended at its limit of 2 s"
    assert gone(line["rows"][0]["batch_size"])
    assert len(line["rows"]) == 1  # the half row is none
    assert results.find(item=3)["status"] == "done" and "over its limit" in text


def test_what_does_not_fit_the_rest_of_the_budget_is_left_out_and_told(tmp_path, started, capsys):
    _, numbers = started
    needs = {one.number: one.needs_sec for one in ITEMS}
    _, text = run(tmp_path, left=lambda: needs[6] + 1, tiny=False)
    short = [number for number, sec in needs.items() if sec <= needs[6]]
    assert numbers == short and 0 < len(short) < len(ITEMS)
    assert f"3. skip-gram, blocks: not measured (needs about {needs[3]:.0f} s, 26 s of" in text
    assert "item 3, skip-gram, blocks: left out" in capsys.readouterr().err
    run(tmp_path, tiny=False)
    assert sorted(numbers) == sorted(needs)


def test_no_item_gets_more_time_than_the_budget_has(tmp_path, started, monkeypatch):
    limits = []

    def ended(argv, log, limit_sec, env):
        limits.append(limit_sec)
        log.write_text("")
        return process.Ended(0, 1.0)

    monkeypatch.setattr(process, "run", ended)
    run(tmp_path, left=lambda: 71.0, tiny=False)
    assert limits and max(limits) <= 71


def test_an_interruption_ends_the_process_and_leaves_no_line(tmp_path, started):
    codes, _ = started
    codes[2] = SLEEPS

    def interrupt(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 1.5)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, chosen=ITEMS[:3])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    results = Results(tmp_path, None)
    assert [line["item"] for line in results.lines] == [1]
    rows, error = item.read(tmp_path / "logs" / "item_2.jsonl")
    assert gone(rows[0]["batch_size"]) and not error


@pytest.mark.parametrize("before_it_watches", [False, True])
def test_an_item_ends_with_a_runner_that_is_killed(before_it_watches):
    code = f"""
import os, subprocess, sys, time
child = "import sys, time; time.sleep({2 * before_it_watches}); "
child += "from experiments.benchmarks.accelerator import process; "
child += "process.end_with(int(sys.argv[1])); time.sleep(60)"
argv = [sys.executable, "-c", child, str(os.getpid())]
print(subprocess.Popen(argv, start_new_session=True, stdout=sys.stderr).pid, flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT)
    pid = int(parent.stdout.readline())
    time.sleep(0 if before_it_watches else 1)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    try:
        assert gone(pid)
    finally:
        if not gone(pid):
            os.kill(pid, signal.SIGKILL)


def test_a_line_cut_short_is_measured_again(tmp_path, started):
    _, numbers = started
    run(tmp_path, chosen=ITEMS[:2])
    path = tmp_path / "results.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    run(tmp_path, chosen=ITEMS[:2])
    assert numbers == [1, 2, 2]


def test_results_of_another_device_are_refused(tmp_path, started):
    run(tmp_path, chosen=ITEMS[:1])
    with pytest.raises(UserError, match="kind = cpu, not NVIDIA H100"):
        Results(tmp_path, {**SETTINGS, "kind": "NVIDIA H100"})


def test_a_machine_without_an_accelerator_has_the_items_of_its_cores():
    cpu = machine.Machine("cpu", "cpu", 1, "0.11")
    runner.check_machine(cpu, list(ITEMS), tiny=True)
    runner.check_machine(cpu, runner.chosen_items(["11"]), tiny=False)
    runner.check_machine(machine.Machine("gpu", "NVIDIA H100", 1, "0.11"), list(ITEMS), False)
    with pytest.raises(UserError, match=r"no accelerator: JAX 0\.11 finds cpu alone; --items=11 "):
        runner.check_machine(cpu, list(ITEMS), tiny=False)


def test_items_are_asked_for_by_number():
    assert [one.number for one in runner.chosen_items(["8", "1", "3"])] == [1, 3, 8]
    with pytest.raises(UserError, match="--items=3,12: '12' is not one of 1 to 11"):
        runner.chosen_items(["3", "12"])


@pytest.mark.parametrize(
    ("given", "expected"), [("cuda", "cuda,cpu"), ("cuda,cpu", "cuda,cpu"), ("", ""), (None, None)]
)
def test_what_is_compared_with_the_cpu_has_both(given, expected, monkeypatch):
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    if given is not None:
        monkeypatch.setenv("JAX_PLATFORMS", given)
    assert machine.environment(on_cpu=False, beside_cpu=True).get("JAX_PLATFORMS") == expected
    assert machine.environment(on_cpu=False, beside_cpu=False).get("JAX_PLATFORMS") == given
    assert machine.environment(on_cpu=True, beside_cpu=False)["JAX_PLATFORMS"] == "cpu"


def full_lines(status, error=""):
    """Lines of results with more rows than the table shows."""
    found = {}
    for one in ITEMS:
        rows = [{column.field: 1.5 for column in one.columns} for _ in range(20)]
        if one.module == "sanity":
            rows = [{"operation": f"op {i}", "right": i > 3} for i in range(20)]
        rows.append({"note": "a note"})
        line = {"item": one.number, "status": status, "sec": 3.0, "error": error, "rows": rows}
        found[one.number] = line
    return found


@pytest.mark.parametrize("status", [table.DONE, table.FAILED])
def test_the_table_has_at_most_60_lines(status):
    lines = full_lines(status, "a reason\nin lines " * 50)
    text = table.document(lines, {}, {**SETTINGS, "machine": "a CPU"})
    assert 50 < len(text.splitlines()) <= 60
    assert max(map(len, text.splitlines())) < 300
    assert "REHEARSAL" in text and "wrong: op 0; op 1; op 2; op 3" in text and "; a note" in text
    assert "16 more in results.jsonl" in text  # skip-gram, blocks: 4 of 20


def test_cells_are_read_at_a_glance():
    shown = [table.cell(value, 1) for value in (None, True, False, 1234, 1234.56, 0.001, 0.0)]
    assert shown == ["–", "yes", "no", "1,234", "1,234.6", "1.0e-03", "0.0"]
    assert table.cell("a  name\n" * 30, 0) == ("a name " * 30)[:60]


def test_rows_of_a_rank_too_high_stay_in_the_results():
    profile = next(one for one in ITEMS if one.module == "kernels")
    rows = [{"batch_size": 1, "rank": rank, "kernel": f"kernel {rank}"} for rank in range(9)]
    line = {"status": table.DONE, "sec": 1.0, "error": "", "rows": rows}
    text = "\n".join(table.section(profile, line, ""))
    assert "kernel 2" in text and "kernel 3" not in text


def test_an_items_error_is_one_line():
    error = ValueError("RESOURCE_EXHAUSTED: Out of memory\nmore\nlines")
    assert item.short(error) == "ValueError: RESOURCE_EXHAUSTED: Out of memory"
    assert item.short(KeyError()) == "KeyError: " and len(item.short(ValueError("x" * 999))) == 200
