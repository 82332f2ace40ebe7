"""The route's template, with what mounts around it took of the path."""

import asyncio
from functools import partial
from typing import Any

import pytest
from django.views.generic import TemplateView
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from whywait.tracer.probes.requests.asgi_call import endpoint_code, route_of
from whywait.tracer.probes.requests.places import _view


async def answer(_: Request) -> PlainTextResponse:
    return PlainTextResponse("")


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/ping", "/ping"),
        ("/api/thumb/7", "/api/thumb/{number}"),
        ("/of/acme/thumb/7", "/of/{tenant}/thumb/{number}"),
        ("/missing", ""),
    ],
)
@pytest.mark.parametrize("proxy", ["", "/behind"])
def test_a_route_within_mounts(path: str, route: str, proxy: str) -> None:
    thumb = Route("/thumb/{number:int}", answer)
    app = Starlette(
        routes=[Route("/ping", answer), Mount("/api", routes=[thumb]), Mount("/of/{tenant}", routes=[thumb])]
    )
    scope: dict[str, Any] = {
        "type": "http", "method": "GET", "path": proxy + path, "root_path": proxy, "headers": [], "query_string": b"",
    }  # fmt: skip

    async def nothing(*_: Any) -> Any: ...

    asyncio.run(app(scope, nothing, nothing))
    assert route_of(scope).replace(":int", "") == route


class View(HTTPEndpoint):
    async def get(self, request: Request) -> PlainTextResponse:
        return await answer(request)


class Scorer:
    async def __call__(self, request: Request) -> PlainTextResponse:
        return await answer(request)


@pytest.mark.parametrize(
    ("endpoint", "function"),
    [
        (answer, answer),
        (partial(answer), answer),
        (View, View.get),
        (Scorer(), Scorer.__call__),
        (object(), None),
        (None, None),
    ],
)
def test_the_function_that_answers(endpoint: Any, function: Any) -> None:
    """Of a class of views its method, of an object what calling it runs."""
    found = endpoint_code({"type": "http", "method": "GET", "endpoint": endpoint})
    assert found is (function and function.__code__)


class Listing(TemplateView):
    def get_context_data(self, **_: Any) -> dict[str, Any]:
        return {}


class Answering(Listing):
    def get(self, request: Any, *_: Any, **__: Any) -> Any:
        return request


@pytest.mark.parametrize(
    ("view", "function"),
    [
        (Listing.as_view(), Listing.get_context_data),
        (Answering.as_view(), Answering.get),
        (answer, answer),
        (partial(answer), answer),
    ],
)
def test_of_djangos_class_of_views_what_the_user_wrote_answers(view: Any, function: Any) -> None:
    found = _view(view, "GET")
    assert getattr(found, "func", found) is function
