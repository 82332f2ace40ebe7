"""What a fault notes of one request: which causes it really had, how long, and who was to blame."""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Who:
    """The culprit: a function and the lines it stands in; `request` is the id of the other request it worked for."""

    name: str  # "": whatever it is called, it is in these lines (a pool is named by where it was made)
    file: str
    first_line: int
    last_line: int
    request: str = ""
    within: tuple["Who", ...] = ()  # others that were on the stack all the while, and so are right as well


@dataclass(frozen=True, slots=True)
class Part:
    """An amount of the request's wall time."""

    cause: str
    ns: int
    who: Who | None = None


@dataclass(frozen=True, slots=True)
class Truth:
    """One request. Parts are what was measured; they need not be all of it."""

    request: str
    parts: tuple[Part, ...]

    def as_json(self) -> dict[str, Any]:
        """For the truth file, one line per request."""
        return asdict(self)


def truth_from(told: dict[str, Any]) -> Truth:
    """The inverse of `as_json`."""
    return Truth(
        told["request"],
        tuple(Part(one["cause"], one["ns"], _who(one["who"]) if one["who"] else None) for one in told["parts"]),
    )


def _who(told: dict[str, Any]) -> Who:
    return Who(**(told | {"within": tuple(_who(one) for one in told["within"])}))


def who(
    function: Callable[..., Any], request: str = "", *, name: str | None = None, within: tuple[Who, ...] = ()
) -> Who:
    """The culprit that `function` is; `name` where it is known under another."""
    plain = inspect.unwrap(function)
    code = plain.__code__
    lines = [line for _, _, line in code.co_lines() if line]
    last = max([code.co_firstlineno, *lines, *_inner_lines(code.co_consts)])
    return Who(plain.__name__ if name is None else name, code.co_filename, code.co_firstlineno, last, request, within)


def _inner_lines(constants: Iterable[Any]) -> list[int]:
    return [line for one in constants if inspect.iscode(one) for _, _, line in one.co_lines() if line is not None]


def merged(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Parts of one cause added up, longest first; each keeps the culprit of its longest part that has one.

    What the loop's own thread lacked of the GIL is measured without its holder, and can be the longer part.
    """
    found: dict[str, list[Part]] = {}
    for one in parts:
        if one.ns > 0:
            found.setdefault(one.cause, []).append(one)
    summed = [
        Part(cause, sum(one.ns for one in of), max(of, key=lambda one: (one.who is not None, one.ns)).who)
        for cause, of in found.items()
    ]
    return tuple(sorted(summed, key=lambda one: -one.ns))
