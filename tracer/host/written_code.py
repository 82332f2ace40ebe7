"""What a function's own code says of a place in it where it awaits. Slow: once for each place."""

from dis import get_instructions
from types import CodeType, FrameType
from typing import Final

_LOADS: Final = ("LOAD_METHOD", "LOAD_ATTR")
_FOR: Final = ("FOR_ITER", "GET_ANEXT", "SEND")  # where the loops go back to that are no `while`


def called_name(user: FrameType, called: str, kind: object) -> str:
    """Return what the user's frame calls, where that makes the private method `called` of a class: `ClientSession.get`
    returns a call of `ClientSession._request`."""
    owner, _, name = called.rpartition(".")
    public = vars(kind) if isinstance(kind, type) and name.startswith("_") else {}
    loaded = [
        one.argval
        for one in get_instructions(user.f_code)
        if one.offset <= user.f_lasti and one.opname in _LOADS and one.argval in public
    ]
    return f"{owner}.{loaded[-1]}" if loaded else called


def in_while(code: CodeType, at: int) -> bool:
    """Return whether the instruction stands in a `while` loop of this function."""
    every = list(get_instructions(code))
    names = {one.offset: one.opname for one in every}
    return any(
        one.argval <= at < one.offset and names.get(one.argval) not in _FOR
        for one in every
        if "JUMP_BACKWARD" in one.opname and "NO_INTERRUPT" not in one.opname
    )
