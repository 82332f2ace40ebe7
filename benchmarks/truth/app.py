"""The service that the faults are injected into: one endpoint per fault, per healthy shape, per pair."""

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from time import perf_counter_ns
from typing import Any

from fastapi import FastAPI, Request
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from benchmarks.truth import faults, healthy
from benchmarks.truth.client import SENT_HEADER
from benchmarks.truth.context import BEGUN, FAULT, INSIDE, WAITED_FOR_CLIENT_NS, WRITTEN_NS, answer, request_of
from benchmarks.truth.fault import FAULTS, PLAIN, Fault
from benchmarks.truth.faults.edges import leave
from benchmarks.truth.faults.pools import POOLS, close_all, pool
from benchmarks.truth.faults.transfer import response_of
from benchmarks.truth.meter import Spent, parts_of, read, since, watch_collections
from benchmarks.truth.perform import perform
from benchmarks.truth.record import Part, Truth, merged, truth_from
from benchmarks.truth.slow_reader import watch_drains
from whywait.analysis.causes import Cause
from whywait.tracer.host.own_thread import all_threads

assert faults.__all__
BESIDE_S = 0.06  # a timer ends so much after twice the amount that is injected beside it
noted: list[dict[str, Any]] = []
readings: deque[Spent] = deque(maxlen=64)  # of the loop's thread, at the end of each request


def note(kind: str, name: str, request: str, parts: list[Part], **more: Any) -> None:
    """Keeps a request's truth until it is asked for."""
    truth = Truth(request, merged(parts))
    mine = answer.get()
    mine["note"] = {"kind": kind, "name": name, **truth.as_json(), **more}


class Measured:
    """The outermost layer: what the loop's thread spent on a request, outside its fault as well."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        mine: dict[str, Any] = {}
        answer.set(mine)
        begun = mine[BEGUN] = read()
        sent_ns = int(dict(scope["headers"]).get(SENT_HEADER.encode(), begun.wall_ns))
        before = next((one for one in reversed(readings) if one.wall_ns <= sent_ns), begun)
        app = plain if scope["path"].startswith(PLAIN) else self.app
        await app(scope, receive, send)
        mine[WRITTEN_NS] = perf_counter_ns() - sent_ns
        told = mine.get("note")
        if told is not None:
            spent = since(begun)
            lacked = since(before)  # before its first instruction, too
            told["on_loop"] = {"gil_ns": lacked.gil_ns, "gc_ns": lacked.gc_ns}
            _add_measured(told, mine, spent)
            noted.append(told)
        readings.append(read())


def _add_measured(told: dict[str, Any], mine: dict[str, Any], spent: Spent) -> None:
    if told["kind"] != "fault":
        return
    parts: list[Part] = []
    of = FAULTS[told["name"]]
    if of.cause == Cause.COMPUTE and FAULT in mine:
        # the way in and out is computing, too: the loop serves nobody else on it
        at_fault: Spent = mine[FAULT]
        parts = parts_of(spent.without(at_fault))
    elif of.measures == "send":
        parts = [Part(Cause.REQUEST_IO, mine.get(WAITED_FOR_CLIENT_NS, 0))]
        told[WRITTEN_NS] = mine[WRITTEN_NS]  # what is left then lies in the kernel: the client's clock says until when
    elif of.measures in ("path", "throttled path"):
        # what the loop's thread lacked on the way in and out; it serves nobody else meanwhile
        way = spent.without(mine[INSIDE])
        without_cpu_ns = way.queue_ns if of.measures == "path" else way.without_cpu_ns
        parts = [Part(Cause.GIL_WAIT, way.gil_ns), Part(Cause.CPU_WAIT, without_cpu_ns)]
    if parts:
        known = truth_from({"request": "", "parts": told["parts"]}).parts
        told["parts"] = Truth("", merged([*known, *parts])).as_json()["parts"]


@contextlib.asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    watch_collections()
    watch_drains()
    for name, workers in POOLS.items():
        pool(name, workers)
    yield
    close_all()


api = FastAPI(lifespan=lifespan)
app = Measured(api)


def _fault_endpoint(of: Fault) -> Callable[..., Awaitable[Any]]:
    async def endpoint(rid: str, request: Request, amount: float = 0) -> Any:
        request_of.set(request)
        before = read()
        parts = await of.inject(amount)
        answer.get()[FAULT] = since(before)
        note("fault", of.name, rid, parts)
        return response_of(answer.get())

    return endpoint


async def plain_endpoint(request: Request) -> JSONResponse:
    """A fault in an app that makes no spans of its own."""
    of = FAULTS[request.path_params["name"]]
    request_of.set(request)
    parts = await of.inject(float(request.query_params["amount"]))
    note("fault", of.name, request.path_params["rid"], parts)
    return JSONResponse("ok")


plain = Starlette(routes=[Route(PLAIN + "/{name}/{rid}", plain_endpoint)])


def _helper_endpoint(of: Fault) -> Callable[..., Awaitable[Any]]:
    async def endpoint(rid: str, amount: float = 0) -> Any:
        assert of.helper is not None
        return await of.helper(amount, rid) or "helped"

    return endpoint


def _beside_endpoint(of: Fault) -> Callable[..., Awaitable[Any]]:
    """The fault lies beside the critical path: a timer, begun with it, ends later."""

    async def endpoint(rid: str, request: Request, amount: float = 0) -> str:
        request_of.set(request)
        seconds = BESIDE_S + 2 * amount / 1_000
        begun = read()
        ended: list[int] = []

        async def slow() -> list[Part]:
            parts = await of.inject(amount)
            ended.append(since(begun).wall_ns)
            return parts

        parts, _ = await asyncio.gather(slow(), asyncio.sleep(seconds))
        beside = ended[0] < seconds * 1e9
        timer = Part(Cause.AWAIT_IO, int(seconds * 1e9) if beside else 0)
        hidden = merged(parts)
        note("beside", of.name, rid, [timer], hidden=hidden[0].cause if hidden else "")
        return "ok"

    return endpoint


def _healthy_endpoint(name: str) -> Callable[..., Awaitable[Any]]:
    async def endpoint(rid: str, request: Request) -> Any:
        request_of.set(request)
        result = await healthy.SHAPES[name]()
        note("null", name, rid, [])
        return result

    return endpoint


for _one in FAULTS.values():
    api.add_api_route(f"/fault/{_one.name}/{{rid}}", _fault_endpoint(_one), methods=["GET", "POST"])
    if _one.helper is not None:
        api.add_api_route(f"/help/{_one.name}/{{rid}}", _helper_endpoint(_one))
    if _one.off_loop:
        api.add_api_route(f"/beside/{_one.name}/{{rid}}", _beside_endpoint(_one))
for _name in healthy.SHAPES:
    api.add_api_route(f"/healthy/{_name}/{{rid}}", _healthy_endpoint(_name), methods=["GET", "POST"])


@api.api_route("/pair/{first}/{second}/{rid}", methods=["GET", "POST"])
async def pair(first: str, second: str, rid: str, request: Request, one: float, other: float) -> str:
    """Two faults in one request, one after the other."""
    request_of.set(request)
    parts = [*await FAULTS[first].inject(one), *await FAULTS[second].inject(other)]
    note("pair", f"{first}+{second}", rid, parts)
    return "ok"


@api.get("/program/{seed}/{rid}")
async def program(seed: int, rid: str) -> str:
    """A program drawn from the grammar."""
    parts = await perform(seed, rid)
    note("program", str(seed), rid, parts)
    return "ok"


@api.get("/cell/begin/{name}")
async def begin(name: str, amount: float = 0) -> str:
    """Prepares a fault's cell."""
    prepare = FAULTS[name].prepare
    if prepare is not None:
        await prepare(amount)
    return "ready"


@api.get("/cell/end/{name}")
async def end(name: str, amount: float = 0) -> str:
    """Clears up behind it."""
    finish = FAULTS[name].finish
    if finish is not None:
        await finish(amount)
    return "done"


@api.get("/cell/truth")
async def truth() -> list[dict[str, Any]]:
    """What was noted since the last time; for the truth file."""
    told = noted[:]
    noted.clear()
    return told


@api.get("/cell/lacked")
async def lacked() -> dict[str, int]:
    """How long all threads of the service together, without the tracer's own, have been runnable without a CPU, and
    its workers have waited for the GIL; ns."""
    tracers = {str(one.native_id) for one in all_threads() if one.name.startswith("whywait")}
    total = 0
    for thread in set(os.listdir("/proc/self/task")) - tracers:
        with contextlib.suppress(OSError), open(f"/proc/self/task/{thread}/schedstat") as file:
            total += int(file.read().split()[1])
    return {"queued_ns": total, "workers_gil_ns": sum(healthy.gil_waits_ns)}


@api.get("/cell/leave")
async def leave_now() -> None:
    """Never answers."""
    leave()


@api.get("/idle")
async def idle() -> str:
    """For whoever waits until the service is up."""
    return "idle"
