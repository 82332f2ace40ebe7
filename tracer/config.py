"""The settings of a session, as one frozen value. The entry points read the environment once."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from pathlib import Path
from typing import TypeVar

MS_NS = 1_000_000
MB = 1_000_000
KEEP_ALL = "all"
KEEP_SLOW = "slow"
REDACT_SECRETS, REDACT_PARAMETERS, REDACT_NOTHING = "secrets", "parameters", "nothing"
_TO_COLLECTOR = ("otlp", "otlp_proto_http", "otlp_proto_grpc")
_ON, _OFF = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
_SWITCH = dict.fromkeys(_ON, True) | dict.fromkeys(_OFF, False)
_KEEP = {one: one for one in (KEEP_ALL, KEEP_SLOW)}
_REDACT = {one: one for one in (REDACT_SECRETS, REDACT_PARAMETERS, REDACT_NOTHING)}
_REDACT |= dict.fromkeys(_ON, REDACT_SECRETS) | dict.fromkeys(_OFF, REDACT_NOTHING)
T = TypeVar("T")


class ConfigError(ValueError):
    """A setting cannot be used. The message names the setting, what was found and what was expected."""


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of one tracing session, with all defaults."""

    service_name: str | None = None  # None: OTEL_SERVICE_NAME, then the application's name
    output: Path | None = None  # OTLP JSON Lines: a *.jsonl file, or a directory (one file per process)
    output_max_bytes: int = 1_000 * MB  # of all files of the output; then the oldest go. 0: without a bound
    output_gzip: bool = False  # each line of it as a member of a *.gz file, which `whywait top` cannot follow
    max_resolution_ns: int = MS_NS  # shorter waits, or those under 1% of the request, are only summed
    block_ns: int = 10 * MS_NS  # a loop callback outside any request becomes a span from this length on
    export_interval_s: float = 0.5  # how often finished requests become spans
    max_pending_requests: int = 2_000  # finished, not yet exported; more are dropped and counted
    max_records_per_request: int = 20_000  # waits, blocks, phases and jobs; more are dropped and counted
    sampler: bool = True  # a child process that samples the states of this process's threads
    watchdog_interval_s: float = 0.01  # period of reading a long callback's stack; 0 switches it off
    # whose locks are recorded: "app" (code outside the standard library and site-packages), "all", "none",
    # or modules with all below them, separated by commas
    locks: str = "app"
    logging_ns: int = 100_000  # a call of a logging handler is recorded from this length on; below 0: never
    blocking_calls: bool = True  # whether sleeps, sockets, subprocesses and joins are timed
    # which requests become spans: "all", or "slow": those slower than `slow_ns` (or, where that is None, than
    # the `slow_quantile` of their endpoint so far), errors, and a random share of the rest
    keep: str = KEEP_ALL
    slow_ns: int | None = None
    slow_quantile: float = 0.95
    keep_share: float = 0.01
    keep_per_s: int = 10  # with "slow": about so many of an endpoint in a second, with larger weights; 0: no ceiling
    tell_open_ns: int = 30_000 * MS_NS  # a request that is open for so long is told while it goes on; 0: never
    # what of a request's values is removed where it may be a secret: "secrets" (docs/in-your-process/privacy.md),
    # "parameters": also what a route's parameters are in paths, or "nothing"
    redact: str = REDACT_SECRETS
    exit_s: float = 0.8  # how long the process's end may wait for its last traces; what is then left is counted
    response_headers: bool = False  # of ASGI servers: traceresponse, and Server-Timing with the wait before the handler


def from_environment(environ: Mapping[str, str] = os.environ) -> Config:
    """Return the settings in WHYWAIT_* variables. Raises `ConfigError` on a value that cannot be used."""

    def read(name: str, default: T, parse: Callable[[str], T], expected: str) -> T:
        found = environ.get(name, "").strip().lower()
        try:
            return parse(found) if found else default
        except (LookupError, ValueError, OverflowError):
            raise ConfigError(f"{name} is {found!r}; expected {expected}") from None

    plain, output = Config(), environ.get("WHYWAIT_OUTPUT")
    most_mb = read(
        "WHYWAIT_OUTPUT_MAX_MB", plain.output_max_bytes // MB, _whole, "a whole number of MB, or 0 for no bound"
    )
    resolution_ns = read("WHYWAIT_RESOLUTION_MS", plain.max_resolution_ns, _length_ns, "a number above 0, such as 1")
    return replace(
        plain, service_name=environ.get("WHYWAIT_SERVICE_NAME") or None, output=Path(output) if output else None,
        output_max_bytes=most_mb * MB, max_resolution_ns=resolution_ns,
        output_gzip=read("WHYWAIT_OUTPUT_GZIP", plain.output_gzip, _SWITCH.__getitem__, "1 or 0"),
        sampler=read("WHYWAIT_SAMPLER", plain.sampler, _SWITCH.__getitem__, "1 or 0"),
        locks=environ.get("WHYWAIT_LOCKS", "").strip() or plain.locks,
        keep=read("WHYWAIT_KEEP", plain.keep, _KEEP.__getitem__, " or ".join(_KEEP)),
        tell_open_ns=read("WHYWAIT_TELL_OPEN_S", plain.tell_open_ns, _seconds_ns, "a number of seconds, or 0 for never"),
        exit_s=read("WHYWAIT_EXIT_S", plain.exit_s, partial(_within, 0, inf), "a number of seconds"),
        redact=read("WHYWAIT_REDACT", plain.redact, _REDACT.__getitem__, "secrets, parameters or nothing"),
        response_headers=read("WHYWAIT_RESPONSE_HEADERS", plain.response_headers, _SWITCH.__getitem__, "1 or 0"),
        slow_ns=read("WHYWAIT_SLOW_MS", None, _length_ns, "a number above 0, such as 250"),
        slow_quantile=read("WHYWAIT_SLOW_QUANTILE", plain.slow_quantile, _fraction, "a number from 0 to 1, such as 0.95"),
        keep_share=read("WHYWAIT_KEEP_SHARE", plain.keep_share, _fraction, "a number from 0 to 1, such as 0.01"),
        keep_per_s=read(
            "WHYWAIT_KEEP_PER_S", plain.keep_per_s, _whole, "a whole number of requests, or 0 for no ceiling"
        ),
    )  # fmt: skip


def _whole(text: str) -> int:
    return int(text if text.isdecimal() else "")


def _length_ns(milliseconds: str) -> int:
    return int(_within(1 / MS_NS, inf, milliseconds) * MS_NS)


def _seconds_ns(text: str) -> int:
    return int(_within(0, inf, text) * 1_000 * MS_NS)


def _fraction(text: str) -> float:
    return _within(0, 1, text)


def _within(least: float, most: float, text: str) -> float:
    if not least <= float(text) <= most:
        raise ValueError
    return float(text)


def named_collector(environ: Mapping[str, str]) -> tuple[str, str]:
    """Return which exporter of OTEL_TRACES_EXPORTER sends to a collector, and its address; empty strings if none."""
    chosen = environ.get("OTEL_TRACES_EXPORTER") or "otlp"
    exporters = [one for one in map(str.strip, chosen.lower().split(",")) if one in _TO_COLLECTOR]
    address = environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    disabled = environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    return (exporters[0], address) if exporters and address and not disabled else ("", "")


def output_file(output: Path, process_id: int) -> Path:
    """Return this process's file: `output` itself if it names a .jsonl or .json file, else a file in it."""
    if output.suffix in {".jsonl", ".json"}:
        return output
    return output / f"traces-{process_id}.jsonl"
