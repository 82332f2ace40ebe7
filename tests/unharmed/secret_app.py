"""A service in whose telemetry secrets travel: FastAPI's own spans, OpenTelemetry's middleware, and the service's.

Every secret is `SECRET-` and the place where it travels; the child burns CPU, so that it delays the request.
"""

import logging
import os
import subprocess
import sys
import time

from fastapi import FastAPI, Request
from opentelemetry import trace
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.trace import SpanKind, Status, StatusCode
from starlette.applications import Starlette
from starlette.requests import Request as StarletteRequest
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

import whywait

logging.basicConfig(stream=sys.stdout)
telemetry = trace.get_tracer("the service's own")
fast = FastAPI()


def burn(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def calls_of_the_service() -> None:
    """Spans as instrumentations of clients and databases make them."""
    with telemetry.start_as_current_span("GET", kind=SpanKind.CLIENT) as span:
        span.set_attribute("url.full", "https://me:SECRET-user@host/a?sig=SECRET-client-query")
        span.set_attribute("http.url", "https://me:SECRET-user@host/a?sig=SECRET-client-query")
    with telemetry.start_as_current_span("INSERT shop", kind=SpanKind.CLIENT) as span:
        span.set_attribute("db.query.text", "INSERT INTO cards VALUES ('SECRET-statement')")
        span.set_attribute("db.statement", "SET key SECRET-redis")
        span.set_attribute("db.query.parameter.0", "SECRET-parameter")
        span.add_event("retry", {"url.full": "https://host/?sig=SECRET-event"})
        try:
            raise ValueError("no card SECRET-exception")
        except ValueError as error:
            span.record_exception(error)
        span.set_status(Status(StatusCode.ERROR, "no SECRET-status"))


@fast.post("/reset/{token}")
def reset(token: str, request: Request) -> str:
    logging.getLogger("shop").warning("Authorization: Bearer SECRET-log")
    child = subprocess.Popen(
        [sys.executable, "-c", "while True: pass", "--password=SECRET-command-line"],
        env={**os.environ, "TOKEN": "SECRET-child-environment"},
    )  # fmt: skip
    with whywait.phase("login password=SECRET-phase"):
        burn(0.3)
    child.kill()
    child.wait()
    calls_of_the_service()
    raise ValueError(f"no user with SECRET-exception and {token}")


async def slow(request: StarletteRequest) -> PlainTextResponse:
    await request.body()
    burn(0.05)
    return PlainTextResponse("done")


@fast.get("/up")
def up() -> str:
    return "up"


app = OpenTelemetryMiddleware(
    Starlette(routes=[Mount("/up", PlainTextResponse("up")), Route("/verify/{code}", slow, methods=["POST"])])
)
"""Its span is that of OpenTelemetry's middleware, which the service has put around it."""
