"""The same service in each framework: `/item/NUMBER` waits, `/block` stops the loop, `/worker` sleeps in a thread, `/broken`
raises. Each is built where its package is installed."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

WAIT_S = 0.02
HELD_S = 0.06
FITS = b"x" * 120_000  # into what the kernel keeps of a connection, but not into what its client's kernel takes


def nap() -> None:
    time.sleep(HELD_S)


def django() -> Any:
    pytest.importorskip("django")
    from django.conf import settings
    from django.core.asgi import get_asgi_application
    from django.http import JsonResponse
    from django.urls import path

    async def item(_: Any, number: int) -> Any:
        await asyncio.sleep(WAIT_S)
        return JsonResponse({"item": number})

    async def block(_: Any) -> Any:
        nap()
        return JsonResponse({})

    def worker(_: Any) -> Any:
        nap()
        return JsonResponse({})

    async def broken(_: Any) -> Any:
        raise RuntimeError("broken")

    urls = (path("item/<int:number>", item), path("block", block), path("worker", worker), path("broken", broken))
    if not settings.configured:
        settings.configure(ROOT_URLCONF=urls, SECRET_KEY="k", ALLOWED_HOSTS=["*"], LOGGING_CONFIG=None)
    return get_asgi_application()


def litestar() -> Any:
    pytest.importorskip("litestar")
    from litestar import Litestar, get

    @get("/item/{number:int}")
    async def item(number: int) -> dict[str, int]:
        await asyncio.sleep(WAIT_S)
        return {"item": number}

    @get("/block")
    async def block() -> dict[str, int]:
        nap()
        return {}

    @get("/worker", sync_to_thread=True)
    def worker() -> dict[str, int]:
        nap()
        return {}

    @get("/broken")
    async def broken() -> dict[str, int]:
        raise RuntimeError("broken")

    return Litestar([item, block, worker, broken])


def quart() -> Any:
    pytest.importorskip("quart")
    from quart import Quart

    app = Quart("shop")

    @app.get("/item/<int:number>")
    async def item(number: int) -> dict[str, int]:
        await asyncio.sleep(WAIT_S)
        return {"item": number}

    @app.get("/block")
    async def block() -> dict[str, int]:
        nap()
        return {}

    @app.get("/worker")
    def worker() -> dict[str, int]:
        nap()
        return {}

    @app.get("/broken")
    async def broken() -> dict[str, int]:
        raise RuntimeError("broken")

    return app


def starlette() -> Any:
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def item(request: Any) -> Any:
        await asyncio.sleep(WAIT_S)
        return JSONResponse({"item": request.path_params["number"]})

    async def block(_: Any) -> Any:
        nap()
        return JSONResponse({})

    def worker(_: Any) -> Any:
        nap()
        return JSONResponse({})

    async def broken(_: Any) -> Any:
        raise RuntimeError("broken")

    return Starlette(routes=[Route("/item/{number:int}", item), *(Route(f"/{one.__name__}", one) for one in (block, worker, broken))])  # type: ignore[arg-type]  # fmt: skip


def bare() -> Any:
    from asgiref.sync import sync_to_async

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for kind in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{kind}.complete"})
            return
        if scope["path"] == "/broken":
            raise RuntimeError("broken")
        if scope["path"] == "/block":
            nap()
        elif scope["path"] == "/worker":
            await sync_to_async(nap)()  # one thread for all requests
        else:
            await asyncio.sleep(WAIT_S)
        body = FITS if scope["path"] == "/fits" else b"{}"
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


ITEM: dict[Callable[[], Any], str] = {
    django: "/item/<int:number>", litestar: "/item/{number}", quart: "/item/<int:number>",
    starlette: "/item/{number:int}", bare: "/item/1",
}  # fmt: skip
"""The name of the endpoint that waits, in the words of each framework."""
