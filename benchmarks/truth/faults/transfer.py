"""Bodies and responses: slow to come, slow to be taken, dear to make."""

import json
from collections.abc import AsyncIterator
from contextvars import ContextVar
from time import perf_counter_ns
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from analysis.causes import Cause
from benchmarks.truth.fault import fault
from benchmarks.truth.meter import read, since
from benchmarks.truth.record import Part, who
from benchmarks.truth.work import spanned

CHUNKS, CHUNK = 160, bytes(65_536)
request_of: ContextVar[Request] = ContextVar("request_of")
answer: ContextVar[dict[str, Any]] = ContextVar("answer")  # what the handler shall return instead


@fault(Cause.REQUEST_IO, "a client that sends its body slowly", client="slow body", quick=True)
async def body_comes_slowly(_: float) -> list[Part]:
    before = read()
    await request_of.get().body()
    spent = since(before)
    return [Part(Cause.REQUEST_IO, spent.wall_ns - spent.cpu_ns - spent.queue_ns)]


@spanned
def parse(body: bytes) -> Any:
    """The body as data."""
    return json.loads(body)


@fault(Cause.COMPUTE, "a huge JSON body, parsed on the loop", amounts=(20, 60, 180), unit="thousand rows",
       client="huge body")  # fmt: skip
async def body_is_huge(_: float) -> list[Part]:
    before = read()
    body = await request_of.get().body()
    came = since(before)
    before = read()
    parse(body)
    spent = since(before)
    # while the body comes the loop computes, too, and waits for the client
    return [
        Part(Cause.COMPUTE, spent.cpu_ns, who(parse)),
        Part(Cause.COMPUTE, came.cpu_ns),
        Part(Cause.REQUEST_IO, came.wall_ns - came.cpu_ns - came.queue_ns),
        Part(Cause.CPU_WAIT, came.queue_ns + spent.queue_ns),
    ]


@fault(Cause.COMPUTE, "a huge response, made into JSON on the loop", amounts=(4, 12, 36),
       unit="thousand rows", measures="response", quick=True)  # fmt: skip
async def response_is_huge(thousands: float) -> list[Part]:
    rows = int(thousands * 1_000)
    answer.get()["body"] = [{"row": row, "score": row / 7, "name": f"pod-{row}"} for row in range(rows)]
    return []


@fault(Cause.REQUEST_IO, "a client that takes the response slowly", client="slow reader", measures="send")
async def response_is_taken_slowly(_: float) -> list[Part]:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(CHUNKS):
            yield CHUNK

    answer.get()["response"] = StreamingResponse(chunks())
    return []


def response_of(told: dict[str, Any]) -> Any:
    """What the handler returns."""
    made: Response | None = told.get("response")
    return made if made is not None else told.get("body", perf_counter_ns())
