"""The story's last part: a loop that never idles starves threads of the GIL; before and after the remedy."""

import json
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from whywait.analysis import analyze
from whywait.analysis.verdicts.sentences import verdict

SWITCH_INTERVAL_S: Final = 0.0002
_PATIENCE_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Starvation:
    """What the requests took, in ms, and the verdicts, with Python's switch interval and with a short one."""

    before_p50_ms: float
    before_max_ms: float
    after_p50_ms: float
    after_max_ms: float
    verdict: str
    verdict_after: str

    def text(self) -> str:
        """The comparison in one sentence."""
        return (
            f"A loop that never idles: a no-op in the executor took p50 {self.before_p50_ms:,.1f} ms, at most "
            f"{self.before_max_ms:,.0f} ms; with sys.setswitchinterval({SWITCH_INTERVAL_S}) p50 "
            f"{self.after_p50_ms:,.1f} ms, at most {self.after_max_ms:,.0f} ms."
        )


def tell_starvation(folder: Path) -> Starvation:
    """Runs the program twice, its traces below `folder`; raises CalledProcessError when it fails."""
    before, said_before = _run(folder / "never-idle", [])
    after, said_after = _run(folder / "never-idle-remedied", ["--switch-interval", str(SWITCH_INTERVAL_S)])
    return Starvation(
        statistics.median(before), max(before), statistics.median(after), max(after), said_before, said_after
    )


def _run(output: Path, options: list[str]) -> tuple[list[float], str]:
    command = [sys.executable, "-m", "demo_service.never_idle", "--output", str(output), *options]
    done = subprocess.run(  # noqa: S603 - our own interpreter, our own arguments
        command, capture_output=True, text=True, timeout=_PATIENCE_S, check=True
    )
    said = " ".join(one.text for one in verdict(analyze(output)))
    took_ms: list[float] = json.loads(done.stdout)
    return took_ms, said
