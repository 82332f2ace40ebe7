"""Where a run keeps what it has: one file per unit, under a name that changes with the sources."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from benchmarks.truth.plan import Unit

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = ROOT / ".cache" / "truth"
SOURCES: Final = ("tracer", "analysis", "benchmarks/truth")
_NOT_MEASURED: Final = {
    "page.py",
    "victims.py",
    "plots.py",
    "scores.py",
    "program_scores.py",
    "usable.py",
    "matching.py",
    "mutations.py",
}


def fingerprint() -> str:
    """Of all that is measured, and of what measures it; not of what only adds up and writes."""
    found = hashlib.sha256()
    for folder in SOURCES:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path.name not in _NOT_MEASURED:
                found.update(str(path.relative_to(ROOT)).encode())
                found.update(path.read_bytes())
    return found.hexdigest()[:12]


class Store:
    """Records of the units that are done."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def done(self, unit: Unit) -> bool:
        """Whether this unit was run already."""
        return self._file(unit).exists()

    def keep(self, unit: Unit, records: list[dict[str, Any]]) -> None:
        """Writes a unit's records; all or nothing."""
        scratch = self._file(unit).with_suffix(".part")
        scratch.write_text(json.dumps(records))
        scratch.replace(self._file(unit))

    def records(self, units: Iterable[Unit]) -> list[dict[str, Any]]:
        """Those of all units that are done."""
        return [one for unit in units if self.done(unit) for one in json.loads(self._file(unit).read_text())]

    def clear(self) -> None:
        """Forgets all."""
        for path in self._folder.glob("*.json"):
            path.unlink()

    def _file(self, unit: Unit) -> Path:
        return self._folder / f"{unit.key}.json"
