"""Breaks a JSON value or its bytes in one to several places. The dice alone decide: one number makes the same input."""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any, Final

NASTY: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 1, 2**31, 2**53 + 1, 2**62, 2**63 - 1, 2**63, 2**64, 10**30, -(2**63), 0.5, -0.0, 1e308,
    float("nan"), float("inf"), "", "0", "x", "-1", "1e9", "9" * 30, "9" * 5000, "NaN", "\x00", "\x1b[31m", "\ud800",
    "[/x]", "[red]", "[link=", "a\nb", "💥" * 50, "\u202e", "a" * 20_000, "</script><b>", "{{7*7}}", "%s", "0" * 32,
    [], {}, [None], ["", 1], [[1]], {"a": 1}, {"stringValue": "x"}, [{"key": "k"}], {"values": 3},
)  # fmt: skip
_VALUES: Final = ("stringValue", "intValue", "boolValue", "doubleValue", "arrayValue", "kvlistValue", "bytesValue")
Place = tuple[Any, Any]  # a list or an object, and the index or key in it


def places(value: Any) -> Iterator[Place]:
    """Yield every place in a JSON value that can be broken."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        keys = one if isinstance(one, dict) else range(len(one)) if isinstance(one, list) else ()
        for key in keys:
            yield one, key
            waiting.append(one[key])


def broken(value: Any, dice: random.Random) -> Any:
    """Return the JSON value with one to six places broken; the value given is changed."""
    for _ in range(dice.choice((1, 1, 1, 2, 3, 6))):
        known = list(places(value))
        if not known:
            return dice.choice(NASTY)
        dice.choice(_WAYS)(known, dice)
    return value


def _replaced(known: list[Place], dice: random.Random) -> None:
    where, key = dice.choice(known)
    where[key] = dice.choice(NASTY)


def _removed(known: list[Place], dice: random.Random) -> None:
    where, key = dice.choice(known)
    del where[key]


def _swapped(known: list[Place], dice: random.Random) -> None:
    """Two values under the same key change places: ids, times, names, parents."""
    _, key = dice.choice(known)
    (first, _), (second, _) = (dice.choice([one for one in known if one[1] == key]) for _ in range(2))
    first[key], second[key] = second[key], first[key]


def _same(known: list[Place], dice: random.Random) -> None:
    """One value is that of another key or place: equal ids, a span that is its own parent."""
    (first, key), (second, other) = dice.choice(known), dice.choice(known)
    copied = second[other]
    if not isinstance(copied, list | dict):
        first[key] = copied


def _attribute(known: list[Place], dice: random.Random) -> None:
    """An attribute of another type."""
    attributes = [where for where, key in known if key == "key" and "value" in where]
    if attributes:
        content = dice.choice(NASTY)
        dice.choice(attributes)["value"] = {dice.choice(_VALUES): content}


def _time(known: list[Place], dice: random.Random) -> None:
    times = [one for one in known if isinstance(one[1], str) and one[1].lower().endswith(("time", "nano", "stamp"))]
    if times:
        where, key = dice.choice(times)
        number = where[key]
        by = dice.choice((-1, 1)) * 10 ** dice.randrange(20)
        where[key] = type(number)(int(number) + by) if str(number).isdigit() else dice.choice(NASTY)


def _twice(known: list[Place], dice: random.Random) -> None:
    lists = [where for where, _ in known if isinstance(where, list)]
    if lists:
        chosen = dice.choice(lists)
        chosen.append(json.loads(json.dumps(dice.choice(chosen))))


_WAYS: Final[tuple[Callable[[list[Place], random.Random], None], ...]] = (
    _replaced, _replaced, _removed, _swapped, _same, _attribute, _attribute, _attribute, _time, _twice,
)  # fmt: skip


def broken_bytes(data: bytes, dice: random.Random) -> bytes:
    """Return the bytes cut off, or with some changed, removed or repeated."""
    at = dice.randrange(len(data) + 1)
    until = min(len(data), at + dice.choice((1, 2, 8, 200)))
    return dice.choice((
        data[:at], data[at:], data[:at] + data[until:], data[:until] + data[at:],
        data[:at] + dice.randbytes(3) + data[until:], data[:at] + dice.choice((b"[", b"{", b'"', b"\n", b"\0")) + data[at:],
    ))  # fmt: skip
