"""Waits of a thread within its work, for something that another thread ends.

A wait timed as "after minus before" would contain the way back to the GIL. So each has the stamp of what
really ended it; what follows the stamp is told apart later.
"""

import sys
from typing import Final

from tracer.places import is_library, is_ours, module_of, user_place
from tracer.records import Activity, LockRecord, Pool, Site, Wait, Waker, current_activity, here

MIN_NS: Final = 50_000  # shorter waits stay in the time that samples divide
_SITE_MIN_NS: Final = 200_000


def waiting_activity() -> Activity | None:
    """Whose thread is about to wait here; None outside any, and within a wait that is timed already."""
    return None if here.waiting else current_activity()


def record_wait(
    activity: Activity,
    kind: str,
    start_ns: int,
    cause_ns: int,
    end_ns: int,
    *,
    by: Waker = None,
    pool: Pool | None = None,
    lock: LockRecord | None = None,
    what: str = "",
    cpu_ns: int = 0,
) -> None:
    """Keeps a wait of this thread; `what` names it where the waiting function's name would not."""
    if end_ns - start_ns < MIN_NS or activity.end_ns or not activity.request.take():
        return
    site = _site(what) if end_ns - start_ns >= _SITE_MIN_NS else None
    cause_ns = min(max(cause_ns, start_ns), end_ns)
    activity.waits.append(Wait(kind, start_ns, cause_ns, end_ns, by, site, 0, True, pool, lock, cpu_ns))


def _site(what: str) -> Site | None:
    """The user's place, and the call that waited: the innermost function that is not ours."""
    frame = sys._getframe(2)
    while is_ours(frame.f_code.co_filename) and frame.f_back is not None:
        frame = frame.f_back
    user = user_place(frame)
    if user is None:
        return None
    module, _, function = what.rpartition(".") if what.islower() else ("", "", what)
    code = frame.f_code
    if not what and not is_library(
        code.co_filename
    ):  # the condition itself was awaited, not what is made of it
        return Site(user, "Condition.wait", "threading")
    return Site(user, function or code.co_qualname, module or module_of(code.co_filename))
