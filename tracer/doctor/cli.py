"""`whywait doctor`: needs only the base install, since it runs where the service runs."""

import argparse
import json
import os
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Final

from whywait.tracer.doctor.check import Check, State

FORMAT: Final = 1  # of the JSON; a change of its shape raises it
_COLOURS: Final = {State.YES: "\x1b[32m", State.NO: "\x1b[31m", State.INFO: "\x1b[2m"}


def main(arguments: Sequence[str]) -> int:
    """Print what can be observed on this machine. Return 0, or 1 if a signal for the analysis is missing."""
    options = parser().parse_args(list(arguments))
    # they import every probe, which `--help` does without
    from whywait.tracer.doctor.installation import installation_checks
    from whywait.tracer.doctor.interpreter import interpreter_checks
    from whywait.tracer.doctor.kernel import cpu_checks, kernel_checks
    from whywait.tracer.doctor.private_names import private_name_checks

    checks = [
        *installation_checks(), *interpreter_checks(), *private_name_checks(), *kernel_checks(),
        *cpu_checks(),
    ]  # fmt: skip
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    text = (
        json.dumps(as_json(checks), indent=1)
        if options.as_json
        else as_text(checks, colours=sys.stdout.isatty() and not plain)
    )
    try:
        print(text, flush=True)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough; what is left must not fail at the exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0 if healthy(checks) else 1


def parser() -> argparse.ArgumentParser:
    """Return what `whywait doctor` takes."""
    made = argparse.ArgumentParser(
        prog="whywait doctor",
        description="Shows what whywait can observe on this machine with this interpreter, and why not more.",
        epilog="examples:\n  whywait doctor\n  whywait doctor --json\n"
        "  docker exec SERVICE whywait doctor\n\n"
        "exit codes: 0 everything can be observed, 1 something is missing, 2 bad arguments",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--json", action="store_true", dest="as_json", help="print JSON")
    return made


def healthy(checks: Sequence[Check]) -> bool:
    return all(one.state is not State.NO for one in checks)


def as_json(checks: Sequence[Check]) -> dict[str, object]:
    return {
        "format": FORMAT,
        "ok": healthy(checks),
        "checks": [asdict(one) | {"state": str(one.state)} for one in checks],
    }


def as_text(checks: Sequence[Check], *, colours: bool) -> str:
    """Return one line per check, with consequence and remedy where something is missing."""
    width = max(len(one.name) for one in checks)
    lines = [line for one in checks for line in _lines(one, width, colours=colours)]
    missing = [one.name for one in checks if one.state is State.NO]
    lines.append(
        f"\nMissing: {', '.join(missing)}. Everything else is observed, and every report names the missing signals."
        if missing
        else "\nAll signals that whywait uses can be observed."
    )
    return "\n".join(lines)


def _lines(one: Check, width: int, *, colours: bool) -> Iterator[str]:
    state = f"{one.state:<4}"
    if colours:
        state = f"{_COLOURS[one.state]}{state}\x1b[0m"
    yield f"{state}  {one.name:<{width}}  {_plain(one.found)}"
    for word, said in (("so", one.means), ("try", one.remedy)):
        if said:
            yield f"{'':<{width + 6}}  {word}: {_plain(said)}"


def _plain(text: str) -> str:
    """Remove control characters: an environment variable or a server's answer may contain anything."""
    return "".join(letter if unicodedata.category(letter)[0] != "C" else " " for letter in text)
