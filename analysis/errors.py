"""The one error family of the analysis: bad input, told in a single helpful line."""


class InputError(Exception):
    """Raised when a source cannot be read or used; the message says what was found, what was
    expected and what to do. The command line prints it and exits with 2."""
