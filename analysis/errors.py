"""The error of the analysis: bad input, described in one line."""

from typing import Final

LOG_PATTERN: Final = r"req=(?P<request>\w+) (?P<name>\w+) took (?P<delta>[\d.]+ms)"  # the example in messages and help


class InputError(Exception):
    """A source cannot be read or used. The message says what was found, what was
    expected and what to do. The command line prints it and exits with 2."""
