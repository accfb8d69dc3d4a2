"""What is read out of compiled programs, and that each bound fails where a program breaks it."""

import json
from importlib.util import find_spec
from types import SimpleNamespace

import pytest
from scripts import in_a_process, start

from experiments.benchmarks.ahead import bounds, compiling, devices, hlo, programs, table, thunks

# A loop of runs around a loop of steps. A step reads rows and adds to them where they lie.
PROGRAM = """HloModule jit_train_run, is_scheduled=true

%rows (p: f32[1000000,100], i: s32[8], r: f32[8,100]) -> f32[1000000,100] {
  %p = f32[1000000,100]{1,0:T(8,128)} parameter(0)
  %i = s32[8]{0} parameter(1)
  %r = f32[8,100]{1,0} parameter(2)
  ROOT %scatter.1 = f32[1000000,100]{1,0:T(8,128)} scatter(%p, %i, %r), to_apply=%add
}

%step (carry: (s32[], f32[1000000,100], /*index=2*/s32[8])) -> (s32[], f32[1000000,100], s32[8]) {
  %carry = (s32[], f32[1000000,100]{1,0:T(8,128)}, /*index=2*/s32[8]{0}) parameter(0)
  %table = f32[1000000,100]{1,0:T(8,128)} get-tuple-element(%carry), index=1
  %ids = s32[8]{0} get-tuple-element(%carry), index=2
  %read = f32[8,100]{1,0} gather(%table, %ids), backend_config={"estimated_cycles":"700"}
  %unknown = s32[8]{0} negate(%ids), backend_config={"estimated_cycles":"18446744073709551615"}
  %never = s32[8]{0} negate(%ids), backend_config={"estimated_cycles":"9223372036854775807"}
  %moved = f32[1000000,100]{1,0:T(8,128)} fusion(%table, %ids, %read), kind=kCustom, calls=%rows
  STEP
  ROOT %out = (s32[], f32[1000000,100]{1,0:T(8,128)}, s32[8]{0}) tuple(%n, %moved, %ids)
}

%going (carry: (s32[], f32[1000000,100], s32[8])) -> pred[] {
  %carry = (s32[], f32[1000000,100]{1,0}, s32[8]{0}) parameter(0)
  ROOT %lt = pred[] compare(%n, %most), direction=LT
}

ENTRY %main (table: f32[1000000,100]) -> f32[1000000,100] {
  %table = f32[1000000,100]{1,0:T(8,128)} parameter(0)
  ENTRY
  %loop = (s32[], f32[1000000,100]{1,0}) while(%start), condition=%going, body=%step, COUNT
  ROOT %end = f32[1000000,100]{1,0} get-tuple-element(%loop), index=1
}
"""
COUNT = 'backend_config={"known_trip_count":{"n":"50"},"known_init_step":{"init":"0","step":"1"}}'
TURNED = "%turned = f32[1000000,100]{0,1:T(8,128)} copy(%table)"
BY_ALL = "%all = f32[1000000]{0} fusion(%accumulator), kind=kLoop, calls=%nothing"
SUMMED = "%sum = f32[] reduce(%table, %zero), dimensions={0,1}, to_apply=%add"
TO_VMEM = "%to = ((f32[1000000]{0}), f32[250880]{0:S(1)}, s32[]{:S(2)}) slice-start(%accumulator)"
BRANCH = "%either = f32[] conditional(%p, %a, %b), branch_computations={%nothing, %nothing}"
# On a SparseCore, beside the rest.
ELSEWHERE = "%there = ((f32[1000000,100]{1,0}), f32[1000000,100]{1,0}) async-start(%t), calls=%rows"
SLOW = '%slow = f32[8]{0} negate(%x), backend_config={"estimated_cycles":"100000"}'

SEQUENCE = """000: kCommandBuffer [source       | next=002 (1)]
    001: kCopy         [source       | sink        ] kCopy
002: kWhile         [prev=000 (1) | sink        ]
condition:
    003: kCustomKernel [source | sink] wrapped_compare grid: [1, 1, 1]
  body:
    000: kCommandBuffer [source | sink]
        KERNELS
005: kCopy          [source       | sink        ] kCopy
"""
LARGE = hlo.Tables(1, 10**6, 100)
MEMORY = {"temp": 5, "output": 5000, "alias": 5000}  # MB


def program(step="", entry="", count=COUNT):
    return PROGRAM.replace("STEP", step).replace("ENTRY\n", f"{entry}\n").replace("COUNT", count)


def sequence(kernels=3, outside=0, buffers=1):
    thunk = "kCustomKernel [source | sink] loop_add_fusion grid: [1, 1, 1]"
    inside = "\n        ".join(f"{i:03}: {thunk}" for i in range(kernels))
    more = "".join(f"\n    {i:03}: {thunk}" for i in range(outside))
    more += "\n    001: kCommandBuffer [source | sink]" * (buffers - 1)
    return SEQUENCE.replace("KERNELS", inside + more)


def figures(name, device, tmp_path, *, text=None, thunk=None, ptx="red.global.add.f32", **memory):
    """The line of a program whose compilation left these."""
    spec, platform = programs.specs()[name], devices.TARGETS[device].platform
    one = SimpleNamespace(platform=platform)
    memory = {"argument": 0.7e-6 * programs.needed(spec, one, platform), **MEMORY, **memory}
    sizes = {f"{kind}_size_in_bytes": 1e6 * size for kind, size in memory.items()}
    compiled = SimpleNamespace(memory_analysis=lambda: SimpleNamespace(**sizes))
    line = {"program": name, "device": device, "compile_sec": 1.0}
    line |= compiling.of_memory(compiled, spec, one, platform)
    line |= compiling.of_text(text or program(), LARGE)
    if platform == "gpu":
        (tmp_path / "module_0001.thunk_sequence_after_thunk_passes.txt").write_text(
            thunk or sequence()
        )
        (tmp_path / "module_0001.ptx").write_text(ptx)
        line |= compiling.of_dump(tmp_path, line["depth"])
    return line


BROKEN = {
    "instructions of size V in a step": {"text": program(BY_ALL)},
    "prefetches of size V in a step": {"text": program(TO_VMEM)},
    "estimated cycles a step": {"text": program(SLOW)},
    "table copies in a dispatch": {"text": program(entry=TURNED)},
    "temporaries, MB": {"temp": 1029},
    "kernels a step": {"thunk": sequence(kernels=36)},
    "command buffers a step": {"thunk": sequence(buffers=2)},
    "kernels outside of it": {"thunk": sequence(outside=1)},
    "loops of unknown length": {"text": program(count="metadata={}")},
    "conditionals in a step": {"text": program(BRANCH)},
    "host read-backs in a dispatch": {"text": program(entry=BRANCH)},
    "compare-and-swaps": {"ptx": "atom.relaxed.gpu.global.cas.b32 %r1, [%rd1], %r2, %r3;"},
    "state not donated, MB": {"alias": 0},
    "memory, expected of taken, %": {"argument": 20},
    "memory, taken of expected, %": {"argument": 10_000},
}


@pytest.mark.parametrize("bound", bounds.BOUNDS, ids=lambda b: f"{b.what}, {b.device}")
def test_each_bound_fails_where_a_program_breaks_it(bound, tmp_path):
    for name in bound.programs:
        good = figures(name, bound.device, tmp_path)
        (kept,) = [x for x in bounds.held([good]) if x["bound"] == bound.what]
        bad = figures(name, bound.device, tmp_path, **BROKEN[bound.what])
        (broken,) = [x for x in bounds.held([bad]) if x["bound"] == bound.what]
        assert (kept["met"], broken["met"]) == (True, False), (kept, broken)
        assert "NO" in table.of_bounds([broken]) and "NO" not in table.of_bounds([kept])
        assert name in table.of_programs([good])


def test_what_each_kind_of_instruction_counts_as():
    def told(**changes):
        module = hlo.parse(program(**changes))
        loop, depth = hlo.step_loop(module, LARGE)
        body = hlo.body_of(loop)
        return (
            hlo.of_vocabulary_size(module, body, LARGE),
            hlo.prefetches(module, body, LARGE),
            hlo.table_copies(module, LARGE),
            depth,
        )

    assert told() == ([], [], 0, 1)
    assert told(step=BY_ALL) == (["all"], [], 0, 1)
    assert told(step=ELSEWHERE) == ([], [], 0, 1)
    assert told(step=SUMMED) == (["sum"], [], 0, 1)
    assert told(step=TO_VMEM) == ([], ["to"], 0, 1)
    assert told(step=TURNED) == (["turned"], [], 1, 1)
    assert told(entry=TURNED) == ([], [], 1, 1)


def test_cycles_collectives_and_read_backs():
    reduced = "%all = f32[8]{0} all-reduce-start(%x), to_apply=%add"
    module = hlo.parse(program(f"{reduced}\n  {BRANCH}"))
    assert hlo.estimated_cycles(module, "step") == 700  # of the unknown ones nothing
    assert hlo.count(module, "ENTRY", *hlo.COLLECTIVES) == 1
    assert hlo.read_backs(module) == 1
    (loop,) = hlo.loops(module)
    assert loop.trip_count() == 50
    assert hlo.read_backs(hlo.parse(program(count="metadata={}"))) == 1


def test_the_step_is_the_innermost_loop_that_writes_a_table():
    """Not a loop in it that only reads one, nor one around it."""
    part = "(s32[], f32[1000000,100]{1,0}) parameter(0)"
    inner = (
        f"\n%part (c: s32[]) -> s32[] {{\n  %c = {part}\n  ROOT %g = f32[8,100] gather(%c)\n}}\n"
    )
    reads = "%parts = (s32[], f32[1000000,100]{1,0}) while(%t), condition=%going, body=%part"
    text = program(reads).replace("\n%going (carry", f"{inner}\n%going (carry")
    loop, depth = hlo.step_loop(hlo.parse(text), LARGE)
    assert (loop.name, depth) == ("loop", 1)
    runs = "%runs = (s32[], f32[1000000,100]{1,0}) while(%start), condition=%going, body=%run"
    around = text.replace("ENTRY %main", "%run").replace("HloModule", "HloModule x\n", 1)
    around += f"\nENTRY %main (t: f32[]) -> f32[] {{\n  {runs}\n}}\n"
    loop, depth = hlo.step_loop(hlo.parse(around), LARGE)
    assert (loop.name, depth) == ("loop", 2)
    assert hlo.step_loop(hlo.parse("ENTRY %m (x: f32[]) -> f32[] {\n}"), LARGE) == (None, 0)


def test_what_the_host_starts_in_a_step():
    assert thunks.of_a_step(sequence(3), 1) == (3, 1, 0)
    assert thunks.of_a_step(sequence(3, outside=2, buffers=2), 1) == (5, 2, 2)
    assert thunks.of_a_step(sequence(3), 2) is None
    assert thunks.compare_and_swaps("atom.global.cas.b32 %r; atom.add.f32 %cas") == 1


def test_a_compiler_that_is_missing_is_told(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(devices, "find_spec", lambda name: None)
    assert start("aot_check", "--devices=v5e", f"--workdir={tmp_path}") == 1
    told = capsys.readouterr().err
    assert "--devices=v5e" in told and "libtpu" in told and "pip install '.[aot]'" in told
    assert start("aot_check", "--devices=v9", f"--workdir={tmp_path}") == 1
    assert "--devices=v9: not one of v5e, v6e, h100" in capsys.readouterr().err
    assert start("aot_check", "--programs=stairs", f"--workdir={tmp_path}") == 1
    assert "--programs=stairs" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("device", devices.TARGETS)
def test_the_real_programs_keep_to_their_bounds(tmp_path, device):
    plugin = devices.TARGETS[device].plugin
    if not find_spec(plugin):
        pytest.skip(f"{plugin}, of the extra [aot], is not installed")
    flags = f"--devices={device}", "--programs=steps blocks skipgram", f"--workdir={tmp_path}"
    done = in_a_process(tmp_path, "aot_check", *flags)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [json.loads(x) for x in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert {x["program"] for x in lines} == {
        "steps blocks skipgram",
        "steps blocks skipgram V 10^6",
    }
