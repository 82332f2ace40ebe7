"""What a test does in a child process before its program begins."""

import signal


def heed_interrupts() -> None:
    """A test run in the background was itself started with SIGINT ignored, and its children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
