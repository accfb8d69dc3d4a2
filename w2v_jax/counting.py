"""How numbers of things are written, in messages and tables alike."""


def counted(count: int, noun: str) -> str:
    """`1 setting`, `2 settings`, `1,000 settings`."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
