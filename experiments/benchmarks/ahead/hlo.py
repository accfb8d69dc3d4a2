"""What the text of a compiled program tells: its loops, what it copies, what a step's body does.

The text is XLA's HLO after optimisation, as `compiled.as_text()` gives it: a computation a block,
an instruction a line. The step's body is that of the innermost loop which writes a table.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

SHAPE = re.compile(r"\b(?:pred|bf16|[fsuc]\d+)\[([\d,]*)\]")
COLLECTIVES = ("all-reduce", "all-gather", "all-to-all", "reduce-scatter", "collective-permute")
# What gives an array on without reading it, or asks for no more than that it is there.
FREE = {"parameter", "get-tuple-element", "tuple", "bitcast", "while", "constant", "conditional"}
FREE |= {"call", "optimization-barrier", "after-all"}
COPIES = {"copy", "copy-start", "transpose", "slice", "slice-start"}
PARTIAL_WRITES = {"scatter", "dynamic-update-slice"}
READ_IN_PART = {"gather", "dynamic-slice", *PARTIAL_WRITES}


class Instruction(NamedTuple):
    """A line of a computation."""

    name: str
    shapes: tuple[tuple[int, ...], ...]  # of the result's arrays
    opcode: str
    operands: tuple[str, ...]
    called: tuple[str, ...]  # computations
    text: str

    def cycles(self) -> int:
        """What the compiler expects it to take; 0 where it says nothing (GPUs, and copies)."""
        found = map(int, re.findall(r'"estimated_cycles":"(\d+)"', self.text))
        return sum(cycles for cycles in found if cycles < 2**60)  # more: unknown

    def trip_count(self) -> int | None:
        """Rounds of a loop, where the compiler knows them."""
        found = re.search(r'"known_trip_count":\{"n":"(\d+)"', self.text)
        return int(found[1]) if found else None


Module = dict[str, list[Instruction]]  # computation -> its instructions

_NAME = r"%?([\w.\-]+)"
_HEAD = re.compile(rf"^(?:ENTRY )?{_NAME} \(.*\{{$")
_LINE = re.compile(rf"^\s+(?:ROOT )?{_NAME} = (\(.*?\)|\S+) ([\w\-]+)\((.*)$")
_CALLED = re.compile(
    r"(?:calls|body|condition|to_apply|true_computation|false_computation)=%?([^,\s]+)"
)
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")


def parse(text: str) -> Module:
    """The computations of a program's text; the entry's is called ENTRY."""
    module: Module = {}
    for line in text.splitlines():
        if head := _HEAD.match(line):
            name = "ENTRY" if line.startswith("ENTRY") else head[1]
            module[name] = []
        elif module and (found := _instruction(line)):
            module[name].append(found)
    return module


def _instruction(line: str) -> Instruction | None:
    found = _LINE.match(re.sub(r"/\*.*?\*/", "", _without_layouts(line)))
    if not found:
        return None
    name, result, opcode, rest = found.groups()
    operands = tuple(re.findall(r"%([\w.\-]+)", rest.split(")", 1)[0]))
    called = _CALLED.findall(line)
    for names in _BRANCHES.findall(line):
        called += re.findall(_NAME, names)
    return Instruction(name, shapes_of(result), opcode, operands, tuple(called), line)


def _without_layouts(line: str) -> str:
    return re.sub(r"\](?:\{[^{}]*\})", "]", line)


def shapes_of(text: str) -> tuple[tuple[int, ...], ...]:
    """The shapes that a text names."""
    return tuple(tuple(map(int, s.split(","))) if s else () for s in SHAPE.findall(text))


def reached(
    module: Module, name: str, *, fused: bool = False, loops: bool = True
) -> Iterator[Instruction]:
    """Instructions of a computation and of those that it calls; not into fusions if not told to."""
    for one in module.get(name, ()):
        yield one
        if (fused or one.opcode != "fusion") and (loops or one.opcode != "while"):
            for called in one.called:
                yield from reached(module, called, fused=fused, loops=loops)


def loops(module: Module) -> list[Instruction]:
    """All loops that the program runs."""
    return [one for one in reached(module, "ENTRY") if one.opcode == "while"]


def body_of(loop: Instruction) -> str:
    """The name of a loop's body."""
    return re.search(rf"body={_NAME}", loop.text)[1]


class Tables(NamedTuple):
    """By which shapes a program's tables are known."""

    trials: int  # S, 1 of a run alone
    vocab_size: int  # V
    dim: int  # D

    def is_table(self, shape: tuple[int, ...]) -> bool:
        """Whether an array has the size of a table, of one trial or of all."""
        return self.spans(shape) and self.dim in shape

    def spans(self, shape: tuple[int, ...]) -> bool:
        """Whether an array has an entry or more for each word."""
        return bool({self.vocab_size, self.trials * self.vocab_size} & set(shape))


def step_loop(module: Module, tables: Tables) -> tuple[Instruction | None, int]:
    """The innermost loop that writes a table, a round of which is a step; how deep it lies."""
    found, depth, name = None, 0, "ENTRY"
    while True:
        inside = [one for one in reached(module, name, loops=False) if one.opcode == "while"]
        own = [one for one in inside if _writes_table(module, body_of(one), tables)]
        if not own:
            return found, depth
        found, depth, name = own[-1], depth + 1, body_of(own[-1])


def _writes_table(module: Module, body: str, tables: Tables) -> bool:
    return any(
        one.opcode not in FREE | COPIES and any(map(tables.is_table, one.shapes))
        for one in reached(module, body)
    )


def table_copies(module: Module, tables: Tables) -> int:
    """How often the program copies a table or turns one round, a step's body included."""
    return sum(
        any(map(tables.is_table, one.shapes)) and _root_opcode(module, one) in COPIES
        for one in reached(module, "ENTRY")
    )


def of_vocabulary_size(module: Module, body: str, tables: Tables) -> list[str]:
    """Names of a body's instructions that read or write an entry of every word.

    Not those that write rows in place, or read rows, nor `prefetches`.
    """
    shapes = {one.name: one.shapes for one in reached(module, body)}
    found = []
    for one in reached(module, body):
        if one.opcode in FREE or one.opcode.endswith("-done") or "ConcatBitcast" in one.text:
            continue
        opcodes = _opcodes(module, one)
        writes = any(map(tables.spans, one.shapes)) and not opcodes & PARTIAL_WRITES
        reads = any(tables.spans(s) for name in one.operands for s in shapes.get(name, ()))
        if (writes or (reads and not opcodes & READ_IN_PART)) and not _is_prefetch(one):
            found.append(one.name)
    return found


def prefetches(module: Module, body: str, tables: Tables) -> list[str]:
    """Names of a body's transfers of arrays of size V, or parts of them, to or from fast memory.

    They run beside the computation, at the bandwidth of the memory: the compiler counts no cycles.
    """
    return [
        one.name
        for one in reached(module, body)
        if _is_prefetch(one) and any(map(tables.spans, one.shapes))
    ]


def _is_prefetch(one: Instruction) -> bool:
    return one.opcode in ("copy-start", "slice-start") and "S(1)" in one.text


def _opcodes(module: Module, one: Instruction) -> set[str]:
    """Of an instruction and of what is fused in it, or starts with it."""
    inside = {x.opcode for name in one.called for x in reached(module, name, fused=True)}
    return {
        one.opcode,
        *(inside if one.opcode == "fusion" or one.opcode.endswith("-start") else ()),
    }


def _root_opcode(module: Module, one: Instruction) -> str:
    """An instruction's opcode; of a fusion its last instruction's, through bitcasts."""
    if one.opcode != "fusion":
        return one.opcode
    inside = {x.name: x for x in module.get(one.called[0], ())}
    root = list(inside.values())[-1] if inside else one
    while root.opcode == "bitcast" and root.operands and root.operands[0] in inside:
        root = inside[root.operands[0]]
    return root.opcode


def estimated_cycles(module: Module, body: str) -> int:
    """What the compiler expects a body to take, of loops in it one round; 0 of a GPU's."""
    return sum(one.cycles() for one in reached(module, body))


def count(module: Module, name: str, *opcodes: str) -> int:
    """How many instructions of these kinds a computation runs, -start and -done as one."""
    return sum(one.opcode.removesuffix("-start") in opcodes for one in reached(module, name))


def read_backs(module: Module) -> int:
    """Loops and branches whose condition the host must read from a GPU, in the whole program."""
    unknown = sum(loop.trip_count() is None for loop in loops(module))
    return unknown + count(module, "ENTRY", "conditional", "outfeed", "send")
