"""What a function's own code says of a place in it where it awaits. Slow: once for each place."""

import re
from dis import get_instructions
from functools import lru_cache
from inspect import CO_ASYNC_GENERATOR, CO_GENERATOR
from types import CodeType, FrameType
from typing import Final

from whywait.tracer.schema import STEP_PACE, STEP_PAUSE

_LOADS: Final = ("LOAD_METHOD", "LOAD_ATTR")
_FOR: Final = ("FOR_ITER", "GET_ANEXT", "SEND")  # where the loops go back to that are no `while`
_SENDS: Final = re.compile(r"(?:send|write|put|publish|emit|broadcast)(?:_|$)").match


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


@lru_cache(maxsize=1_024)
def pause_of(code: CodeType, at: int, *, users: bool) -> str:
    """Return what a sleep at this instruction is: STEP_PACE between things that are sent, or handed out by the user's
    generator; STEP_PAUSE in any other `while` loop of this function; "" elsewhere, where it may stand for work."""
    every = list(get_instructions(code))
    names = {one.offset: one.opname for one in every}
    loops = [
        (at - one.argval, one.argval, one.offset)
        for one in every
        if "JUMP_BACKWARD" in one.opname and "NO_INTERRUPT" not in one.opname and one.argval <= at < one.offset
    ]
    if not loops:
        return ""
    _, begin, end = min(loops)
    inside = [one for one in every if begin <= one.offset <= end]
    is_for = names.get(begin) in _FOR
    asks = sum(one.opname == "GET_AWAITABLE" for one in inside) > 1
    sends = any(
        one.opname.startswith("LOAD_") and _SENDS(str(one.argval)) for one in inside if "CONST" not in one.opname
    )
    if sends or (users and code.co_flags & (CO_ASYNC_GENERATOR | CO_GENERATOR) and (is_for or not asks)):
        return STEP_PACE
    return "" if is_for else STEP_PAUSE
