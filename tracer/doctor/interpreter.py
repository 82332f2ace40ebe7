"""Checks the interpreter, what whywait needs, and the settings of a traced service."""

import os
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from whywait.tracer.config import ConfigError, from_environment, output_file
from whywait.tracer.doctor.check import Check, info, no, yes
from whywait.tracer.host.interpreter import has_gil, is_free_threaded, tested_versions, untested
from whywait.tracer.host.native import native_core
from whywait.tracer.hotpath import core
from whywait.tracer.run_summary import collector

_NEEDED: Final = ("opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http")


def interpreter_checks(environ: Mapping[str, str] = os.environ) -> list[Check]:
    """Return the checks of the interpreter, OpenTelemetry, the event loop, and the settings."""
    return [_python(), _core(), _gil(), _opentelemetry(environ), _loop(), _settings(environ)]


def _python() -> Check:
    found = f"{platform.python_implementation()} {platform.python_version()} at {sys.executable}"
    if platform.python_implementation() != "CPython":
        return no(
            "python", found, "probes and the sampler work on CPython only",
            f"run the service on {tested_versions()}",
        )  # fmt: skip
    if untested():
        build = f"{found} (free-threaded)" if is_free_threaded() else found
        return no(
            "python", build, f"whywait is tested on {tested_versions()}, with a GIL; others may lose signals",
            "run the service on one of these versions",
        )  # fmt: skip
    return yes("python", found)


def _core() -> Check:
    if core.name == native_core.NATIVE:
        return info("core", "native: callbacks and steps are recorded in C")
    return info("core", f"Python: {core.why_python}")


def _gil() -> Check:
    if has_gil():
        return info("gil", f"on, switch interval {sys.getswitchinterval() * 1000:g} ms")
    return info("gil", "off (free-threaded build): there is no gil_wait")


def _opentelemetry(environ: Mapping[str, str]) -> Check:
    missing = [name for name in _NEEDED if not _version(name)]
    if missing:
        return no(
            "opentelemetry", f"{', '.join(missing)}: not installed", "no spans can be written",
            "reinstall: pip install --force-reinstall whywait",
        )  # fmt: skip
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return no("opentelemetry", "OTEL_SDK_DISABLED is set", "nothing is traced", "unset OTEL_SDK_DISABLED")
    return yes("opentelemetry", f"SDK {_version('opentelemetry-sdk')}")


def _loop() -> Check:
    if _version("uvloop"):
        return info(
            "uvloop",
            f"{_version('uvloop')}: uvicorn uses it where it is installed; the sleep of its loops is not visible, so "
            "loop_wakeup is part of unexplained (uvicorn --loop asyncio makes it visible)",
        )
    return info("uvloop", "not installed: loops are asyncio's, and all their signals are visible")


def _settings(environ: Mapping[str, str]) -> Check:
    try:
        config = from_environment(environ)
    except ConfigError as error:
        return no("settings", str(error), "tracing does not start", "correct or unset the variable")
    if not config.sampler:
        return no(
            "settings", "WHYWAIT_SAMPLER=0", "gil_wait, and waits in locks and calls that are not traced, are part of unexplained",
            "unset WHYWAIT_SAMPLER",
        )  # fmt: skip
    if config.output is not None:
        folder = _existing(output_file(Path(config.output), 0).parent)
        if not os.access(folder, os.W_OK):
            return no(
                "settings", f"WHYWAIT_OUTPUT is {config.output}, and {folder} is not writable", "no trace is written",
                "choose another folder",
            )  # fmt: skip
    return yes("settings", f"traces go to {config.output or collector(environ) or './traces (whywait run)'}")


def _existing(folder: Path) -> Path:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
