"""Which headers of a caller OpenTelemetry reads without a warning: any client could have the service log one a request."""

import re
from typing import Final

LONGEST_PARENT: Final = 512
_LONGEST: Final = 4_096  # within the limits of OpenTelemetry and of W3C, as the next
_MOST_MEMBERS: Final = 32
_KEY, _VALUE = rb"[ \t]*[\w!#$%&'*+.^`|~-]+[ \t]*", rb"[ \t]*[!#-+./0-:<-\[\]-~-]*[ \t]*"
_BAGGAGE: Final = re.compile(rb"%b=%b(?:;%b(?:=%b)?)*" % (_KEY, _VALUE, _KEY, _VALUE))
_STATE: Final = re.compile(
    r"[ \t]*(?:(?:[a-z][_0-9a-z*/-]{0,255}|[a-z0-9][_0-9a-z*/-]{0,240}@[a-z][_0-9a-z*/-]{0,13})"
    r"=[ -+\--<>-~]{0,255}[!-+\--<>-~][ \t]*)?"
)


def is_baggage(said: bytes) -> bool:
    """Whether each member of a `baggage` header is one, and there are not too many."""
    members = said.split(b",")
    return len(said) <= _LONGEST and len(members) <= _MOST_MEMBERS and all(map(_BAGGAGE.fullmatch, members))


def is_state(said: str) -> bool:
    """Whether each member of a `tracestate` header is one or empty, and there are not too many."""
    members = said.split(",")
    return len(said) <= _LONGEST and len(members) <= _MOST_MEMBERS and all(map(_STATE.fullmatch, members))
