"""Keeps the host's tracebacks what they would be without us."""


def take_this_frame_out(error: BaseException) -> None:
    """Drops the calling frame from the traceback of an exception that it caught and is about to re-raise.

    A bare `raise` adds no entry for the frame it is in, so the host sees its own frames only.
    """
    traceback = error.__traceback__
    if traceback is not None:
        error.__traceback__ = traceback.tb_next
