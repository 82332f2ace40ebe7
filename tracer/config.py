"""What a session may be told, as one frozen value. The environment is read once, by the entry points."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

MS_NS = 1_000_000
_ON = ("1", "true", "yes", "on")
_OFF = ("0", "false", "no", "off")


class ConfigError(ValueError):
    """A setting cannot be used; the message says which, what was found and what was expected."""


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of one tracing session. Each default is written here and nowhere else."""

    service_name: str | None = None  # None: OTEL_SERVICE_NAME, then "whywait"
    output: Path | None = None  # OTLP JSON Lines: a *.jsonl file, or a directory (one file per process)
    max_resolution_ns: int = MS_NS  # waits shorter than this, or than 1% of the request, are sums only
    block_ns: int = 10 * MS_NS  # a loop callback outside any request gets a span from this length on
    export_interval_s: float = 0.5  # how often finished requests become spans
    max_pending_requests: int = 2_000  # finished, not yet exported; more are dropped and counted
    max_records_per_request: int = 20_000  # waits, blocks, phases and jobs; more are dropped and counted
    sampler: bool = True  # a child process that reads what this process's threads wait in
    watchdog_interval_s: float = 0.01  # how often a long callback's stack is read; 0 turns it off
    # whose locks are watched: "app" (code outside the standard library and site-packages), "all", "none",
    # or modules with all below them, separated by commas
    locks: str = "app"
    logging_ns: int = 100_000  # a logging handler's stretch is kept from this length on; below 0: never
    blocking_calls: bool = True  # whether sleeps, sockets, subprocesses and joins are timed

    def with_output(self, output: str | os.PathLike[str] | None) -> "Config":
        """The same settings writing to `output`."""
        return replace(self, output=None if output is None else Path(output))


def from_environment(environ: Mapping[str, str] = os.environ) -> Config:
    """Settings from WHYWAIT_* variables; raises `ConfigError` on a value that cannot be used."""
    config = Config(
        service_name=environ.get("WHYWAIT_SERVICE_NAME") or None,
        output=Path(environ["WHYWAIT_OUTPUT"]) if environ.get("WHYWAIT_OUTPUT") else None,
    )
    sampler = environ.get("WHYWAIT_SAMPLER", "").strip().lower()
    if sampler not in {"", *_ON, *_OFF}:
        raise ConfigError(f"WHYWAIT_SAMPLER is {sampler!r}; expected 1 or 0")
    config = replace(config, sampler=sampler not in _OFF)
    if environ.get("WHYWAIT_LOCKS", "").strip():
        config = replace(config, locks=environ["WHYWAIT_LOCKS"].strip())
    milliseconds = environ.get("WHYWAIT_RESOLUTION_MS")
    if milliseconds:
        try:
            resolution_ns = int(float(milliseconds) * MS_NS)
        except (ValueError, OverflowError):
            resolution_ns = 0
        if resolution_ns <= 0:
            raise ConfigError(
                f"WHYWAIT_RESOLUTION_MS is {milliseconds!r}; expected a number above 0, such as 1"
            )
        config = replace(config, max_resolution_ns=resolution_ns)
    return config


def output_file(output: Path, process_id: int) -> Path:
    """The file this process writes: `output` itself if it names a .jsonl or .json file, else one in it."""
    if output.suffix in {".jsonl", ".json"}:
        return output
    return output / f"traces-{process_id}.jsonl"
