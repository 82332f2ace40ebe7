"""From growing files to counted requests, round by round. Memory is bounded: the rest stays in the files."""

import math
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple

from whywait.analysis.errors import InputError
from whywait.analysis.live.assembly import INCOMPLETE, Assembly
from whywait.analysis.live.counting import Busy, Counted, count
from whywait.analysis.live.follower import Follower
from whywait.analysis.live.gathered import Patience
from whywait.analysis.live.tail import LOST_LINE
from whywait.analysis.load.files import no_collection
from whywait.analysis.load.typed_otlp import rows_of_line

_MOST_PER_TURN: Final = 8 << 20  # bytes
_NAMED: Final = 5  # services
EVERYTHING: Final = 1 << 62  # as `back`: from the beginning


class Turn(NamedTuple):
    """The result of one round."""

    requests: tuple[Counted, ...]
    busy: tuple[Busy, ...]


class Reader:
    """Follows a file or a directory. `back`: how many bytes at the end of each existing file are read."""

    def __init__(
        self, path: Path, *, back: int = 0, service: str | None = None, patience: Patience | None = None
    ) -> None:
        self.follower = Follower(path, back=back)
        self.assembly = Assembly(patience, mid_stream=back < EVERYTHING)
        self.lost_by_service = ""  # as its traces report it; "" for none
        self._service = service

    @property
    def lost(self) -> dict[str, int]:
        """Losses since the beginning, by kind."""
        return dict(self.follower.lost + self.assembly.lost)

    @property
    def service_missing(self) -> str:
        """A message when only other services than the chosen one have sent traces; otherwise ""."""
        seen = self.assembly.services
        if self._service is None or not seen or self._service in seen:
            return ""
        return f"no request of service {self._service!r}; there are: {', '.join(map(repr, sorted(seen)[:_NAMED]))}"

    def turn(self, now_s: float, *, final: bool = False) -> Turn:
        """Read new lines; return the requests whose traces are complete (`final`: all), by any monotonic clock."""
        left, before = self._read(now_s, final), math.inf
        while final and left < before:
            left, before = self._read(now_s, final), left
        batches = count(self.assembly.due(now_s, final=final), self.assembly, now_s, service=self._service)
        for batch in batches:
            self.lost_by_service = batch.lost_by_service or self.lost_by_service
        requests, busy = (tuple(chain(*(getattr(one, name) for one in batches))) for name in Turn._fields)
        self.assembly.lost[INCOMPLETE] += sum(not one.by_cause for one in requests)
        return Turn(requests, busy)

    def close(self) -> None:
        self.follower.close()

    def _read(self, now_s: float, final: bool) -> int:
        """Take in what came; return how many bytes are left in the files."""
        with no_collection():
            for source, line in self.follower.poll(_MOST_PER_TURN, final=final):
                if not line.strip():
                    continue
                try:
                    rows = rows_of_line(line)
                except (ValueError, RecursionError):
                    self.follower.lost[LOST_LINE] += 1
                    continue
                self.assembly.add(rows, source, now_s)
        return self.follower.behind


def checked_path(source: str, *, must_exist: bool) -> Path:
    """Return the path to follow. Raises InputError when it cannot be followed."""
    if source == "-" or source.startswith(("http://", "https://")):
        raise InputError(
            f"{source} cannot be followed: expected the file or directory that the service writes "
            "(whywait run --output); for what is in Jaeger: whywait report"
        )
    path = Path(source)
    if must_exist and not path.exists():
        raise InputError(f"{path} does not exist: expected a file of OTLP JSON Lines, or a directory of them")
    if not path.exists() and not path.parent.is_dir():
        raise InputError(f"{path} cannot be created: there is no directory {path.parent}")
    return path


def last_seconds(requests: Iterable[Counted], seconds: float) -> tuple[list[Counted], float]:
    """Return the requests that ended in the last seconds before the latest end, and how long that is."""
    every = list(requests)
    if not every:
        return [], 0.0
    end_ns = max(one.end_ns for one in every)
    begin_ns = end_ns - round(seconds * 1e9)
    chosen = [one for one in every if one.end_ns > begin_ns]
    if len(chosen) < len(every):
        return chosen, seconds
    first_ns = min(one.end_ns - one.wall_ns for one in every)
    return chosen, min(seconds, max((end_ns - first_ns) / 1e9, 1e-3))
