"""The user's function in which a task waits that runs a library's function only. Pure."""

from bisect import bisect_right
from operator import attrgetter
from typing import Final

from whywait.tracer.host.code_location import NOWHERE, Place, Site, is_library, root_package
from whywait.tracer.records.loop import users_place
from whywait.tracer.records.request import Activity, Wait
from whywait.tracer.schema import FOR_ASKED_COLLECTION, WAIT_GC

_END: Final = attrgetter("end_ns")
_FARTHEST: Final = 8
_IN_GREENLETS: Final = ("sqlalchemy",)


def user_site(activity: Activity, wait: Wait) -> Site | None:
    """Return the wait's place. `gather(client.get(a), client.get(b))` makes tasks that run no function of the user: theirs
    is where those who made them waited meanwhile."""
    site = wait.site
    if site is None or not is_library(site.user.file):
        return site
    if wait.kind == WAIT_GC and not site.leaf_function.startswith(FOR_ASKED_COLLECTION):
        place = users_place(site.user, activity.request)  # for whom the library made its objects, if that is known
        return site._replace(user=NOWHERE if is_library(place.file) else place)
    found = site_around(activity.spawner, wait.start_ns, wait.end_ns)
    if found is None:
        return site._replace(call="", package="")
    called = found if found.call else site  # what a client does in tasks of its own, the user's call asked for
    address = site.address or found.address
    return site._replace(user=found.user, call=called.call, package=called.package, address=address)


def asked_in(activity: Activity, place: Place) -> Site | None:
    """Return where in the user's code a task waited for the call of SQLAlchemy's that runs at this place: in a greenlet, where
    no frame of the user's is below it; None where it waited in several functions for such."""
    package = root_package(place.file)
    sites = [one.site for one in activity.waits if one.site is not None and one.site.package == package]
    sites = [one for one in sites if not is_library(one.user.file)] if package in _IN_GREENLETS else []
    name = place.function.rpartition(".")[2]
    sites = [one for one in sites if one.call.rpartition(".")[2] == name] or sites
    return sites[0] if len({one.user.function for one in sites}) == 1 else None


def site_around(outer: Activity | None, start_ns: int, end_ns: int) -> Site | None:
    """Return where in the user's code the first of these waited meanwhile: `outer`, who began it, and so on."""
    for _ in range(_FARTHEST):
        if outer is None:
            break
        at = bisect_right(outer.waits, start_ns, key=_END)
        around = outer.waits[at] if at < len(outer.waits) else None
        found = around.site if around is not None and around.start_ns <= end_ns else None
        if found is not None and not is_library(found.user.file):
            return found
        outer = outer.spawner
    return None
