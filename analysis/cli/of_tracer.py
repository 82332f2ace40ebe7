"""The commands that `tracer` handles before the analysis is imported: declared here for help and completion."""

import subprocess
import sys
from typing import Final

import typer

from whywait.analysis.cli.streams import examples

PASSED_ON: Final = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
RUN_EPILOG = examples("whywait run -- uvicorn app:app", "whywait run --output traces -- gunicorn app:app")
DOCTOR_EPILOG = examples("whywait doctor", "whywait doctor --jaeger http://localhost:16686")


def run(context: typer.Context) -> int:
    """Traces a service without a change to its code."""
    return _of_tracer("run", context)


def doctor(context: typer.Context) -> int:
    """Shows what whywait can observe on this machine with this interpreter, and why not more."""
    return _of_tracer("doctor", context)


def _of_tracer(name: str, context: typer.Context) -> int:
    command = [sys.executable, "-m", "whywait", name, *context.args]
    return subprocess.run(command, check=False).returncode  # noqa: S603 - our own interpreter, our own module
