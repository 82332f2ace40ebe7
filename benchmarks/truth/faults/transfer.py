"""Bodies and responses: slow to come, slow to be taken, dear to make."""

import json
from collections.abc import AsyncIterator
from time import perf_counter_ns
from typing import Any

from starlette.responses import Response, StreamingResponse

from benchmarks.truth.context import answer, request_of
from benchmarks.truth.fault import fault
from benchmarks.truth.meter import on_collection, parts_of, read, since
from benchmarks.truth.record import Part, who
from benchmarks.truth.work import spanned
from whywait.analysis.causes import Cause

CHUNKS, CHUNK = 160, bytes(65_536)


@fault(Cause.REQUEST_IO, "a client that sends its body slowly", client="slow body", quick=True)
async def body_comes_slowly(_: float) -> list[Part]:
    before = read()
    await request_of.get().body()
    spent = since(before)
    return [Part(Cause.REQUEST_IO, spent.blocked_ns)]


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
    # json.loads lets nobody look in but at the callback that watches collections, which is within it
    by = who(parse, within=(who(on_collection),))
    # while the body comes the loop computes, too, and waits for the client
    return [*parts_of(spent, by), *parts_of(came)[:2], Part(Cause.REQUEST_IO, came.blocked_ns)]


@fault(Cause.COMPUTE, "a huge response, made into JSON on the loop", amounts=(10, 30, 90),
       unit="thousand rows", quick=True)  # fmt: skip
async def response_is_huge(thousands: float) -> list[Part]:
    before = read()
    answer.get()["body"] = make_rows(int(thousands * 1_000))
    return parts_of(since(before))


@spanned
def make_rows(count: int) -> list[dict[str, Any]]:
    """What shall be answered."""
    return [{"row": row, "score": row / 7, "name": f"pod-{row}"} for row in range(count)]


@fault(Cause.REQUEST_IO, "a client that takes the response slowly", client="slow reader", measures="send",
       quick=True)  # fmt: skip
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
