"""The error of the analysis: bad input, described in one line."""


class InputError(Exception):
    """A source cannot be read or used. The message says what was found, what was
    expected and what to do. The command line prints it and exits with 2."""
