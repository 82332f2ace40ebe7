"""The settings of a session, as one frozen value. The entry points read the environment once."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

MS_NS = 1_000_000
MB = 1_000_000
KEEP_ALL = "all"
KEEP_SLOW = "slow"
REDACT_SECRETS, REDACT_PARAMETERS, REDACT_NOTHING = "secrets", "parameters", "nothing"
_TO_COLLECTOR = ("otlp", "otlp_proto_http", "otlp_proto_grpc")
_ON = ("1", "true", "yes", "on")
_OFF = ("0", "false", "no", "off")


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
    # what of a request's values is removed where it may be a secret: "secrets" (docs/in-your-process/privacy.md),
    # "parameters": also what a route's parameters are in paths, or "nothing"
    redact: str = REDACT_SECRETS


def from_environment(environ: Mapping[str, str] = os.environ) -> Config:
    """Return the settings in WHYWAIT_* variables. Raises `ConfigError` on a value that cannot be used."""
    config = Config(
        service_name=environ.get("WHYWAIT_SERVICE_NAME") or None,
        output=Path(environ["WHYWAIT_OUTPUT"]) if environ.get("WHYWAIT_OUTPUT") else None,
    )
    config = replace(
        config, sampler=_switch(environ, "WHYWAIT_SAMPLER", default=True),
        output_gzip=_switch(environ, "WHYWAIT_OUTPUT_GZIP", default=False),
    )  # fmt: skip
    if environ.get("WHYWAIT_LOCKS", "").strip():
        config = replace(config, locks=environ["WHYWAIT_LOCKS"].strip())
    bound_mb = _whole(environ, "WHYWAIT_OUTPUT_MAX_MB", config.output_max_bytes // MB, "of MB, or 0 for no bound")
    config = replace(config, output_max_bytes=bound_mb * MB)
    resolution_ns = _milliseconds(environ, "WHYWAIT_RESOLUTION_MS", "1")
    if resolution_ns is not None:
        config = replace(config, max_resolution_ns=resolution_ns)
    return _keeping(config, environ)


def _switch(environ: Mapping[str, str], name: str, *, default: bool) -> bool:
    found = environ.get(name, "").strip().lower()
    if found not in {"", *_ON, *_OFF}:
        raise ConfigError(f"{name} is {found!r}; expected 1 or 0")
    return found in _ON if found else default


def _keeping(config: Config, environ: Mapping[str, str]) -> Config:
    keep = environ.get("WHYWAIT_KEEP", "").strip().lower() or config.keep
    if keep not in {KEEP_ALL, KEEP_SLOW}:
        raise ConfigError(f"WHYWAIT_KEEP is {keep!r}; expected {KEEP_ALL} or {KEEP_SLOW}")
    redact = environ.get("WHYWAIT_REDACT", "").strip().lower() or config.redact
    redact = REDACT_SECRETS if redact in _ON else REDACT_NOTHING if redact in _OFF else redact
    if redact not in {REDACT_SECRETS, REDACT_PARAMETERS, REDACT_NOTHING}:
        raise ConfigError(
            f"WHYWAIT_REDACT is {redact!r}; expected {REDACT_SECRETS}, {REDACT_PARAMETERS} or {REDACT_NOTHING}"
        )
    return replace(
        config, keep=keep, redact=redact, slow_ns=_milliseconds(environ, "WHYWAIT_SLOW_MS", "250"),
        slow_quantile=_fraction(environ, "WHYWAIT_SLOW_QUANTILE", config.slow_quantile),
        keep_share=_fraction(environ, "WHYWAIT_KEEP_SHARE", config.keep_share),
        keep_per_s=_whole(environ, "WHYWAIT_KEEP_PER_S", config.keep_per_s, "of requests, or 0 for no ceiling"),
    )  # fmt: skip


def _whole(environ: Mapping[str, str], name: str, default: int, unit: str) -> int:
    found = environ.get(name, "").strip()
    if found and not found.isdecimal():
        raise ConfigError(f"{name} is {found!r}; expected a whole number {unit}")
    return int(found) if found else default


def _milliseconds(environ: Mapping[str, str], name: str, example: str) -> int | None:
    found = environ.get(name)
    if not found:
        return None
    try:
        length_ns = int(float(found) * MS_NS)
    except (ValueError, OverflowError):
        length_ns = 0
    if length_ns <= 0:
        raise ConfigError(f"{name} is {found!r}; expected a number above 0, such as {example}")
    return length_ns


def _fraction(environ: Mapping[str, str], name: str, default: float) -> float:
    found = environ.get(name)
    if not found:
        return default
    try:
        fraction = float(found)
    except ValueError:
        fraction = -1.0
    if not 0 <= fraction <= 1:
        raise ConfigError(f"{name} is {found!r}; expected a number from 0 to 1, such as {default}")
    return fraction


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
