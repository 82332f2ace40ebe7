"""The `whywait` command. `run` and `doctor` need only the base install; the other commands the analysis extra."""

import argparse
import difflib
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final

from whywait import __version__, commands
from whywait.tracer import run_summary
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
    if arguments == ["--version"]:
        print(f"whywait {__version__}")
        return 0
    return _of_analysis(arguments)


def _of_analysis(arguments: list[str]) -> int:
    try:
        return int(import_module(commands.READER).main(arguments))
    except ImportError as error:
        why = str(error)
    if not arguments:
        return _refuse(_help())
    if arguments[0] in ("--help", "-h"):
        print(_help())
        return 0
    return _refuse(_missing(arguments[0], why))


def _missing(word: str, why: str) -> str:
    if word in commands.ANALYSIS:
        return f"whywait: {word} needs the analysis extra ({why}). Install it: {commands.INSTALL}. {_HERE}"
    near = difflib.get_close_matches(word, [*commands.BASE, *commands.ANALYSIS], n=1)
    meant = f" Did you mean {near[0]}?" if near else ""
    return (
        f"whywait: there is no command {word!r}.{meant} {', '.join(commands.ANALYSIS)} need the analysis extra "
        f"({why}): {commands.INSTALL}. {_HERE}"
    )


def _help() -> str:
    def listed(some: Mapping[str, str]) -> str:
        return "\n".join(f"  {name:<10} {said}" for name, said in some.items())

    return (
        f"whywait {__version__}: shows why an async Python request was slow, with evidence.\n\n"
        f"Usage: whywait COMMAND [OPTIONS]\n\n{listed(commands.BASE)}\n\n"
        f"With the analysis extra, which is not installed here ({commands.INSTALL}):\n{listed(commands.ANALYSIS)}\n\n"
        f"{commands.FIRST_STEPS}\n{commands.EXIT_CODES}"
    )


def _refuse(why: str) -> int:
    print(why, file=sys.stderr)
    return 2


def run(arguments: list[str]) -> int:
    """Replace this process by the given command, traced. Return an exit code only if that fails."""
    options = parser().parse_args(arguments)
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        return _refuse("whywait run: no command given; expected: whywait run -- COMMAND, such as uvicorn app:app")
    program = shutil.which(command[0])
    if program is None:
        return _refuse(f"whywait run: {command[0]!r} was not found on PATH; is its environment active?")
    environment = dict(os.environ)
    try:
        targets = _targets(options.output, environment)
    except ConfigError as error:
        run_summary.tell(f"whywait run: {error}")
        targets = []
    else:
        run_summary.say_where(targets)
    if targets:
        _trace(environment, options.service_name)
    os.execvpe(program, command, environment)  # noqa: S606 - running the user's command is the purpose


def parser() -> argparse.ArgumentParser:
    """Return what `whywait run` takes."""
    made = argparse.ArgumentParser(
        prog="whywait run",
        description="Traces a service without a change to its code.",
        epilog="example: whywait run -- uvicorn app:app\n         whywait report traces",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "-o", "--output", default=os.environ.get("WHYWAIT_OUTPUT"),
        help="a .jsonl file or a directory for the traces "
        "(default: ./traces, or none if OTEL_EXPORTER_OTLP_ENDPOINT is set)",
    )  # fmt: skip
    made.add_argument(
        "--service",
        "--service-name",
        dest="service_name",
        default=None,
        help="service.name of the spans (default: OTEL_SERVICE_NAME)",
    )
    made.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="what to run")
    return made


def _targets(output: str | None, environment: dict[str, str]) -> list[str]:
    """Return where the traces go, and set WHYWAIT_OUTPUT. Raises `ConfigError` if there is nowhere to write them."""
    collector = run_summary.collector(environment)
    targets = [collector] if collector else []
    if output is None and not targets:
        output = "traces"
    environment.pop("WHYWAIT_OUTPUT", None)
    if output is None:
        return targets
    output = os.path.abspath(output)
    try:
        _check_output(output)
    except ConfigError as error:
        if not targets:
            raise ConfigError(f"{error}. The service runs without whywait") from error
        return [f"{collector}, and not to a file ({error})"]
    environment["WHYWAIT_OUTPUT"] = output
    return [output, *targets]


def _trace(environment: dict[str, str], service_name: str | None) -> None:
    if service_name is not None:
        environment["WHYWAIT_SERVICE_NAME"] = service_name
    environment[run_summary.RUN] = run_summary.new_run()
    # Python imports `sitecustomize` from here in every process of the service, workers included; the process of this
    # number is traced from its first line on, its children from the moment at which they serve
    environment["WHYWAIT_AUTOSTART"] = str(os.getpid())
    paths = [str(_AUTOSTART), *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    environment["PYTHONPATH"] = os.pathsep.join(paths)


def _check_output(output: str) -> None:
    """A disk that cannot be written to must not stop the service, but it is said before the first request."""
    folder = output_file(Path(output), 0).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot write traces to {output}: {error.strerror}; choose another --output") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"cannot write traces to {output}: no permission; choose another --output")


if __name__ == "__main__":
    sys.exit(main())
