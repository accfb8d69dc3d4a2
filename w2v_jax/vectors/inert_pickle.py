"""What a pickle says, without doing it: numbers, text, lists, dicts, and `Made` for all else.

Python's own reader calls whatever a file names. Here nothing is looked up, imported or called.
"""

import struct
from typing import Any, NamedTuple


class Global(NamedTuple):
    """A name in a module."""

    module: str
    name: str


class Made:
    """An object that a pickle would have made: of what, from which arguments, in which state."""

    __slots__ = ("args", "of", "state")

    def __init__(self, of: Any, args: Any):
        self.of, self.args, self.state = of, args, None


_SIZES = {  # of the length that stands before text or bytes
    **{ord(op): size for op, size in ((b"\x8c", 1), (b"X", 4), (b"\x8d", 8))},
    **{ord(op): size for op, size in ((b"C", 1), (b"B", 4), (b"\x8e", 8), (b"\x96", 8))},
    **{ord(op): size for op, size in ((b"U", 1), (b"T", 4))},
}
_TEXT = {ord(b"\x8c"), ord(b"X"), ord(b"\x8d")}
_NUMBERS = {ord("K"): "<B", ord("G"): ">d"}
_SHORT_TEXT, _FETCH, _FETCH_LONG, _NUMBER_2, _NUMBER_4 = 0x8C, *map(ord, "hjMJ")
_KEEP = {ord("q"): "<B", ord("r"): "<I"}
_CONSTANTS = {ord("N"): None, 0x88: True, 0x89: False}
_EMPTY = {ord("]"): list, ord("}"): dict, ord(")"): tuple, 0x8F: list}
_SKIPPED = {0x80: 1, 0x95: 8}  # the protocol's number, a frame's length
_TUPLES = {0x85: 1, 0x86: 2, 0x87: 3}
_MEMOIZE, _MARK, _STOP, _GLOBAL = 0x94, ord("("), ord("."), ord("c")


def read(data: bytes) -> Any:
    """What the pickle describes. Raises ValueError where it is damaged, or of a kind not read."""
    try:
        return _Machine(data).run()
    except (IndexError, KeyError, TypeError, AttributeError, struct.error, UnicodeError) as error:
        raise ValueError(f"damaged ({error})") from error


class _Machine:
    """A stack, what stood on it at each mark, and what is kept by number."""

    def __init__(self, data: bytes):
        self.data, self.pos = data, 0
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        """Carries out the operations up to the last."""
        while True:
            op = self._often()
            if op in _SIZES:
                self.stack.append(self._sized(op))
            elif op in _NUMBERS:
                self.stack.append(self._number(_NUMBERS[op]))
            elif op in _KEEP:
                self.memo[self._number(_KEEP[op])] = self.stack[-1]
            elif op == _STOP:
                return self.stack.pop()
            else:
                self._rarely(op)

    def _often(self) -> int:
        """Carries out what a vocabulary is made of, and returns the first other operation."""
        data, memo, pos, stack = self.data, self.memo, self.pos, self.stack
        while True:
            op = data[pos]
            if op == _SHORT_TEXT:
                end = pos + 2 + data[pos + 1]
                stack.append(data[pos + 2 : end].decode("utf-8", "surrogatepass"))
                pos = end
            elif op == _MEMOIZE:
                memo[len(memo)] = stack[-1]
                pos += 1
            elif op == _FETCH_LONG:
                stack.append(memo[int.from_bytes(data[pos + 1 : pos + 5], "little")])
                pos += 5
            elif op == _FETCH:
                stack.append(memo[data[pos + 1]])
                pos += 2
            elif op == _NUMBER_4:
                stack.append(int.from_bytes(data[pos + 1 : pos + 5], "little", signed=True))
                pos += 5
            elif op == _NUMBER_2:
                stack.append(data[pos + 1] | data[pos + 2] << 8)
                pos += 3
            else:
                self.pos = pos + 1
                return op

    def _number(self, form: str) -> Any:
        (value,) = struct.unpack_from(form, self.data, self.pos)
        self.pos += struct.calcsize(form)
        return value

    def _bytes(self, size: int) -> bytes:
        if size > len(self.data) - self.pos:
            raise ValueError("it ends early")
        self.pos += size
        return self.data[self.pos - size : self.pos]

    def _sized(self, op: int) -> bytes | str:
        """Text, or bytes, behind its length."""
        size = int.from_bytes(self._bytes(_SIZES[op]), "little")
        value = self._bytes(size)
        return value.decode("utf-8", "surrogatepass") if op in _TEXT else value

    def _line(self) -> str:
        end = self.data.index(b"\n", self.pos)
        line = self.data[self.pos : end].decode()
        self.pos = end + 1
        return line

    def _marked(self) -> list[Any]:
        """What stands on the stack since the last mark; it is taken off."""
        items, self.stack = self.stack, self.marks.pop()
        return items

    def _rarely(self, op: int) -> None:
        stack = self.stack
        if op == _MARK:
            self.marks.append(stack)
            self.stack = []
        elif op in _SKIPPED:
            self._bytes(_SKIPPED[op])
        elif op in _CONSTANTS:
            stack.append(_CONSTANTS[op])
        elif op in _EMPTY:
            stack.append(_EMPTY[op]())
        elif op in _TUPLES:
            items = tuple(stack[-_TUPLES[op] :])
            del stack[-_TUPLES[op] :]
            stack.append(items)
        elif op == _GLOBAL:
            stack.append(Global(self._line(), self._line()))
        elif op in (0x8A, 0x8B):  # a long number, its length before it
            size = int.from_bytes(self._bytes(1 if op == 0x8A else 4), "little")
            stack.append(int.from_bytes(self._bytes(size), "little", signed=True))
        else:
            getattr(self, _COLLECTING.get(op, "_unknown"))()

    def _unknown(self) -> None:
        raise ValueError(f"operation {self.data[self.pos - 1]:#x} at byte {self.pos - 1:,}")

    def _append(self) -> None:
        item = self.stack.pop()
        self.stack[-1].append(item)

    def _appends(self) -> None:
        items = self._marked()
        self.stack[-1].extend(items)

    def _set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.stack[-1][key] = value

    def _set_items(self) -> None:
        items = self._marked()
        self.stack[-1].update(zip(items[::2], items[1::2], strict=True))

    def _tuple(self) -> None:
        items = self._marked()
        self.stack.append(tuple(items))

    def _list(self) -> None:
        items = self._marked()
        self.stack.append(items)

    def _dict(self) -> None:
        items = self._marked()
        self.stack.append(dict(zip(items[::2], items[1::2], strict=True)))

    def _stack_global(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.stack.append(Global(module, name))

    def _call(self) -> None:
        args, of = self.stack.pop(), self.stack.pop()
        self.stack.append(Made(of, args))

    def _call_by_name(self) -> None:
        self.stack.pop()
        self._call()

    def _build(self) -> None:
        state = self.stack.pop()
        self.stack[-1].state = state

    def _pop(self) -> None:
        self.stack.pop()

    def _get(self) -> None:
        self.stack.append(self.memo[int(self._line())])

    def _put(self) -> None:
        self.memo[int(self._line())] = self.stack[-1]


_COLLECTING = {
    **{ord("a"): "_append", ord("e"): "_appends", 0x90: "_appends"},
    **{ord("s"): "_set_item", ord("u"): "_set_items", ord("t"): "_tuple"},
    **{ord("l"): "_list", 0x91: "_list", ord("d"): "_dict", 0x93: "_stack_global"},
    **{ord("R"): "_call", 0x81: "_call", 0x92: "_call_by_name", ord("b"): "_build"},
    **{ord("0"): "_pop", ord("g"): "_get", ord("p"): "_put"},
}
