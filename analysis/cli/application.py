"""The command line. Exit codes: 0 success, 1 negative result, 2 bad input, 130 interrupted. Only the command that is
asked for is imported."""

import io
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Annotated, Any, Final

import typer

from whywait import __version__, commands
from whywait.analysis.causes import INFO
from whywait.analysis.cli.streams import ReaderGone, console, examples
from whywait.analysis.errors import InputError
from whywait.analysis.text import safe

_EPILOG: Final = f"""\b
{commands.FIRST_STEPS}
Completion: whywait --install-completion.  Colours: none in a pipe or with NO_COLOR set.

{commands.EXIT_CODES}
"""
_LONGEST_MESSAGE: Final = 2000
_PASSED_ON: Final = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"whywait {__version__}")
        raise typer.Exit()


def _options(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Shows why an async Python request was slow, with evidence."""


def _causes() -> None:
    """Prints what each cause means, and what to change."""
    from rich.table import Table  # `--help` comes without it

    table = Table(title="Every instant of a request has exactly one cause")
    for name in ("cause", "the request was ...", "what to do"):
        table.add_column(name)
    for cause, advice in INFO.items():
        table.add_row(str(cause), advice.meaning, advice.remedy)
    console().print(table)


def _demo(context: typer.Context) -> int:
    """Runs the demonstration: puts a service in six modes under load and shows where the time went."""
    try:
        from demo_service.plan import plan_of

        plan = plan_of(context.args)  # before the imports of what the demonstration does
        from demo_service.story import main as tell
    except ImportError as error:
        raise InputError(
            f"the demo service is not installed with whywait ({error}). Clone the repository, run pip install -e "
            "'.[demo-cpu]' in the clone, and start whywait demo there"
        ) from error
    return tell(plan)


def _of_tracer(name: str, said: str) -> Callable[[typer.Context], int]:
    def command(context: typer.Context) -> int:
        # the tracer answers these before anything of the analysis is imported: here they are for help and completion
        words = [sys.executable, "-m", "whywait", name, *context.args]
        return subprocess.run(words, check=False).returncode  # noqa: S603 - our own interpreter, our own module

    command.__doc__ = said
    return command


def _not_asked_for() -> None:
    """Stands in the help for a command whose module was not imported."""


# those without a function here are modules of this folder
_HERE: Final[dict[str, tuple[Callable[..., Any], str]]] = {
    "causes": (_causes, examples("whywait causes")),
    "demo": (_demo, ""),
    "run": (
        _of_tracer("run", "Traces a service as it is, with no change to its code."),
        examples("whywait run -- uvicorn app:app", "whywait run --output traces -- gunicorn app:app"),
    ),
    "doctor": (
        _of_tracer("doctor", "Says what can be observed on this machine by this interpreter, and why not."),
        examples("whywait doctor"),
    ),
}


def application(words: Sequence[str]) -> typer.Typer:
    """Return the application; its only commands that can run are the one among the words, and those that are here."""
    made = typer.Typer(
        name="whywait", help=_options.__doc__, epilog=_EPILOG, no_args_is_help=True, pretty_exceptions_enable=False,
        rich_markup_mode=None, add_completion=True, context_settings={"help_option_names": ["-h", "--help"]},
    )  # fmt: skip
    made.callback()(_options)
    for name, said in {**commands.BASE, **commands.ANALYSIS}.items():
        function, epilog = _HERE.get(name, (_not_asked_for, ""))
        if name in words and name not in _HERE:
            module = import_module(f"whywait.analysis.cli.{name}")
            function, epilog = getattr(module, name), module.EPILOG
        settings = _PASSED_ON if name in ("demo", "run", "doctor") else None
        made.command(name, short_help=said, epilog=epilog or None, context_settings=settings)(function)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. `argv`: the words after `whywait`."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a question mark for what cannot be encoded, instead of a traceback
    words = list(sys.argv[1:] if argv is None else argv)
    # what a shell wants to complete stands in its own variables
    typed = f"{os.environ.get('COMP_WORDS', '')} {os.environ.get('_TYPER_COMPLETE_ARGS', '')}".split()
    try:
        result: Any = application([*words[:1], *typed])(words, prog_name="whywait", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except InputError as error:
        return _refuse(error)
    except (KeyboardInterrupt, typer.Abort):
        print("whywait: interrupted", file=sys.stderr)
        return 130
    except (ReaderGone, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        return _misused(error)


def _misused(error: Exception) -> int:
    """Answer a wrong use of the command line; typer's own class for it is private."""
    if not hasattr(error, "format_message"):
        raise error
    said = str(error.format_message())
    if said.startswith("Usage:"):  # no words at all
        print(said, file=sys.stderr)
        return 2
    return _refuse(f"{said.rstrip('.')}. See whywait --help")


def _refuse(error: object) -> int:
    # the message may quote a trace, and a trace may contain escape sequences
    print(f"whywait: {safe(error, _LONGEST_MESSAGE)}", file=sys.stderr)
    return 2
