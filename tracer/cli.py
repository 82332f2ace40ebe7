"""The `whywait` command. `run` and `doctor` need only the base install; the other commands the analysis extra."""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

from whywait.tracer.config import ConfigError, output_file

_AUTOSTART: Final = Path(__file__).parent / "autostart"
_HERE: Final = "`whywait run` and `whywait doctor` work without it"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (2: bad input or arguments)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["run"]:
        return run(arguments[1:])
    if arguments[:1] == ["doctor"]:
        # it takes its time to import, and no other command needs it
        from whywait.tracer.doctor.cli import main as doctor

        return doctor(arguments[1:])
    for entry in entry_points(group="whywait.commands"):
        try:
            command = entry.load()
        except ImportError as error:
            return _refuse(
                f"whywait: {' '.join(arguments[:1]) or 'the help'} needs the analysis extra, which "
                f"cannot be imported ({error}). Install it: pip install 'whywait[analysis]'. {_HERE}"
            )
        return int(command(arguments))
    return _refuse(
        f"whywait: no installed distribution names the command {' '.join(arguments[:1])!r}. Reinstall whywait: pip "
        f"install 'whywait[analysis]'. {_HERE}"
    )


def _refuse(why: str) -> int:
    print(why, file=sys.stderr)
    return 2


def run(arguments: list[str]) -> int:
    """Replace this process by the given command, traced. Return an exit code only if that fails."""
    options = _parser().parse_args(arguments)
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        return _refuse("whywait run: no command given; expected: whywait run -- COMMAND, such as uvicorn app:app")
    program = shutil.which(command[0])
    if program is None:
        return _refuse(f"whywait run: {command[0]!r} was not found on PATH; is its environment active?")
    environment = _environment(options.output, options.service_name)
    output = environment.get("WHYWAIT_OUTPUT")
    try:
        _check_output(output)
    except ConfigError as error:
        return _refuse(f"whywait run: {error}")
    if output:
        print(f"whywait: traces go to {output}", file=sys.stderr, flush=True)
    os.execvpe(program, command, environment)  # noqa: S606 - running the user's command is the purpose


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="whywait run",
        description="Traces a service without a change to its code.",
        epilog="example: whywait run -- uvicorn app:app\n         whywait report traces",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "-o", "--output", default=os.environ.get("WHYWAIT_OUTPUT"),
        help="a .jsonl file or a directory for the traces "
        "(default: ./traces, or none if OTEL_EXPORTER_OTLP_ENDPOINT is set)",
    )  # fmt: skip
    parser.add_argument("--service-name", default=None, help="service.name of the spans (default: OTEL_SERVICE_NAME)")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="what to run")
    return parser


def _environment(output: str | None, service_name: str | None) -> dict[str, str]:
    environment = dict(os.environ)
    if output is None and not _exports_elsewhere(environment):
        output = "traces"
    if output is not None:
        environment["WHYWAIT_OUTPUT"] = os.path.abspath(output)
    if service_name is not None:
        environment["WHYWAIT_SERVICE_NAME"] = service_name
    # Python imports `sitecustomize` from here in every process of the service, workers included; the process of this
    # number is traced from its first line on, its children from the moment at which they serve
    environment["WHYWAIT_AUTOSTART"] = str(os.getpid())
    paths = [str(_AUTOSTART), *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    return environment


def _exports_elsewhere(environment: dict[str, str]) -> bool:
    return bool(environment.get("OTEL_EXPORTER_OTLP_ENDPOINT") or environment.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))


def _check_output(output: str | None) -> None:
    if output is None:
        return
    folder = output_file(Path(output), 0).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot write traces to {output}: {error.strerror}; choose another --output") from error
    if not os.access(folder, os.W_OK):
        raise ConfigError(f"cannot write traces to {output}: no permission; choose another --output")


if __name__ == "__main__":
    sys.exit(main())
