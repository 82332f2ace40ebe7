"""A pause of the collector is told by the code that made the objects, or asked for it."""

import json
from types import CodeType, SimpleNamespace
from typing import Any

import pytest

from whywait.tracer.host.code_location import NOWHERE, Place, Site, place_of_code
from whywait.tracer.schema import FOR_ASKED_COLLECTION, WAIT_GC
from whywait.tracer.spans.waits.user_site import asked_in, user_site


def table() -> None:
    """Answers a request; a library makes its response afterwards."""


OWN, LIBRARY = Place("rows", "/srv/app.py", 7), place_of_code(json.dumps.__code__)
MIDDLEWARE = Place("GZipMiddleware.__call__", "/x/site-packages/starlette/middleware/gzip.py", 9)


@pytest.mark.parametrize(
    ("place", "answers", "asked", "told"),
    [
        (OWN, table.__code__, False, OWN),
        (LIBRARY, table.__code__, False, place_of_code(table.__code__)),
        (LIBRARY, None, False, NOWHERE),
        (MIDDLEWARE, table.__code__, False, NOWHERE),
        (LIBRARY, table.__code__, True, LIBRARY),
    ],
    ids=["the user's", "for the endpoint", "nobody's", "a middleware's", "a library asked"],
)
def test_who_made_the_objects(place: Place, answers: CodeType | None, asked: bool, told: Place) -> None:
    site = Site(place, f"{FOR_ASKED_COLLECTION if asked else ''}generation 2", "gc")
    activity: Any = SimpleNamespace(spawner=None, request=SimpleNamespace(answers=answers))
    wait: Any = SimpleNamespace(kind=WAIT_GC, site=site, start_ns=1, end_ns=2)
    found = user_site(activity, wait)
    assert found is not None
    assert found.user == told


ORM = "/x/site-packages/sqlalchemy/orm/session.py"


@pytest.mark.parametrize(
    ("function", "told"),
    [("Session.flush", "add_all"), ("Session.commit", "repository"), ("Query.all", None)],
    ids=["its call", "another's call", "any call"],
)
def test_what_runs_in_a_greenlet_is_told_by_the_call_that_its_task_awaits(function: str, told: str | None) -> None:
    def waits(name: str, call: str) -> Any:
        return SimpleNamespace(site=Site(Place(name, "/srv/app.py", 7), "do", "asyncpg", call, "sqlalchemy"))

    activity: Any = SimpleNamespace(
        waits=[
            waits("add_all", "AsyncSession.flush"),
            waits("repository", "AsyncSession.commit"),
            SimpleNamespace(site=None),
        ]
    )
    found = asked_in(activity, Place(function, ORM, 9))
    assert (found and found.user.function) == told
    assert asked_in(activity, Place("Response.render", "/x/site-packages/starlette/responses.py", 9)) is None
    del activity.waits[0]
    found = asked_in(activity, Place(function, ORM, 9))
    assert found is not None
    assert found.user.function == "repository"
