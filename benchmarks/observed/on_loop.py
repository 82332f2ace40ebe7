"""Programs whose request waits on the event loop."""

import asyncio
import functools
import gc
import socket
import threading
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from benchmarks.observed.program import WAIT_S, Loop, loop_program, program
from testbed.service import free_port
from whywait import phase


def spin(seconds: float) -> None:
    """Computes, by the wall clock."""
    end_s = time.perf_counter() + seconds
    while time.perf_counter() < end_s:
        pass


def nap(seconds: float) -> int:
    """Sleeps; returns when it was done (ns of perf_counter)."""
    time.sleep(seconds)
    return time.perf_counter_ns()


@loop_program("compute", "compute")
async def compute() -> int:
    with phase("compute"):
        began_ns = time.thread_time_ns()
        while time.thread_time_ns() - began_ns < WAIT_S * 1e9:
            pass
        return time.thread_time_ns() - began_ns


async def job_and_way_back(name: str) -> int:
    with phase(name):
        done_ns = await asyncio.get_running_loop().run_in_executor(None, nap, 0.03)
        return time.perf_counter_ns() - done_ns


@loop_program("loop_busy", "loop_busy", culprit="spin|hold_the_loop")
async def loop_busy() -> int:
    async def hold_the_loop() -> None:
        await asyncio.sleep(0.015)
        with phase("blocker"):
            spin(WAIT_S)

    waited_ns, _ = await asyncio.gather(job_and_way_back("loop_busy"), hold_the_loop())
    return waited_ns


@program("loop_wakeup", "loop_wakeup")
def loop_wakeup(factory: Loop) -> int:
    kind = type(probe := factory())
    probe.close()

    def call_soon_threadsafe(self, callback, *args, context=None):  # type: ignore[no-untyped-def]
        time.sleep(WAIT_S)  # whoever calls in from another thread is slow to say so
        return kind.call_soon_threadsafe(self, callback, *args, context=context)

    late = type("LateLoop", (kind,), {"call_soon_threadsafe": call_soon_threadsafe})
    with asyncio.Runner(loop_factory=late) as runner:
        return runner.run(job_and_way_back("loop_wakeup"))


@loop_program("collect_order", "collect_order", culprit="spin|handle|collect")
async def collect_order() -> int:
    lay_done_ns: list[int] = []

    def handle() -> None:
        spin(0.02)

    async def collect(job: "Future[int]") -> None:
        done_ns = await asyncio.wrap_future(job)
        lay_done_ns.append(time.perf_counter_ns() - done_ns)
        handle()

    with phase("collect_order"), ThreadPoolExecutor(5) as pool:
        barrier = threading.Barrier(5)

        def together() -> int:
            time.sleep(0.03)
            barrier.wait()
            return time.perf_counter_ns()

        await asyncio.gather(*(collect(pool.submit(together)) for _ in range(5)))
    return max(lay_done_ns)


@loop_program("await_io (timer)", "await_io")
async def await_timer() -> int:
    with phase("await_io (timer)"):
        began_ns = time.perf_counter_ns()
        await asyncio.sleep(WAIT_S)
        return time.perf_counter_ns() - began_ns


@loop_program("await_io (socket)", "await_io")
async def await_socket() -> int:
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        threading.Timer(WAIT_S, far.send, (b"x",)).start()
        with phase("await_io (socket)"):
            began_ns = time.perf_counter_ns()
            await asyncio.get_running_loop().sock_recv(near, 1)
            return time.perf_counter_ns() - began_ns


@loop_program("limiter_wait (asyncio)", "limiter_wait", culprit="another request|holder")
async def limiter_asyncio() -> int:
    turn = asyncio.Semaphore(1)

    async def holder() -> None:
        with phase("another request"):
            async with turn:
                await asyncio.sleep(WAIT_S)

    other = asyncio.create_task(holder())
    await asyncio.sleep(0)
    with phase("limiter_wait (asyncio)"):
        began_ns = time.perf_counter_ns()
        async with turn:
            waited_ns = time.perf_counter_ns() - began_ns
    await other
    return waited_ns


@loop_program("limiter_wait (anyio's tokens)", "limiter_wait", culprit="nap")
async def limiter_anyio() -> int:
    import anyio
    import anyio.to_thread

    limiter = anyio.CapacityLimiter(1)

    async def holder() -> None:
        with phase("another request"):
            await anyio.to_thread.run_sync(nap, WAIT_S, limiter=limiter)

    other = asyncio.create_task(holder())
    await asyncio.sleep(0.01)
    with phase("limiter_wait (anyio's tokens)"):
        began_ns = time.perf_counter_ns()
        done_ns = await anyio.to_thread.run_sync(nap, 0.01, limiter=limiter)
    await other
    return done_ns - began_ns - 10_000_000


@loop_program("gc_pause", "gc_pause")
async def gc_pause() -> int:
    def ring() -> list[object]:
        one: list[object] = []
        one.append(one)
        return one

    kept = [ring() for _ in range(400_000)]
    with phase("gc_pause"):
        began_ns = time.perf_counter_ns()
        gc.collect()
        paused_ns = time.perf_counter_ns() - began_ns
    del kept
    return paused_ns


@program("ingress_wait", "ingress_wait", note="by a proxy's X-Request-Start")
def ingress_wait(factory: Loop) -> int:
    waited_ns: list[int] = []

    async def answer(request: Request) -> PlainTextResponse:
        waited_ns.append(time.time_ns() - int(float(request.headers["x-request-start"].removeprefix("t=")) * 1e9))
        return PlainTextResponse("hello")

    def ask(url: str) -> urllib.request.Request:
        return urllib.request.Request(url, headers={"X-Request-Start": f"t={time.time() - WAIT_S:.6f}"})

    _served(factory, Route("/ingress_wait", answer), "ingress_wait", ask)
    return waited_ns[0]


@program("request_io", "request_io")
def request_io(factory: Loop) -> int:
    waited_ns: list[int] = []

    async def upload(request: Request) -> PlainTextResponse:
        began_ns = time.perf_counter_ns()
        await request.body()
        waited_ns.append(time.perf_counter_ns() - began_ns)
        return PlainTextResponse("thanks")

    def body():  # type: ignore[no-untyped-def]
        yield b"first"
        time.sleep(WAIT_S)
        yield b"last"

    def ask(url: str) -> urllib.request.Request:
        return urllib.request.Request(url, body(), {"Content-Length": "9"})

    _served(factory, Route("/request_io", upload, methods=["POST"]), "request_io", ask)
    return waited_ns[0]


def _served(factory: Loop, route: Route, name: str, ask: Callable[[str], urllib.request.Request]) -> None:
    """Serves one request, to the path of this name."""
    import uvicorn

    port = free_port()
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=[route]), port=port, log_level="error"))

    def client() -> None:
        while not server.started:
            time.sleep(0.01)
        with urllib.request.urlopen(ask(f"http://127.0.0.1:{port}/{name}"), timeout=30) as answer:
            answer.read()
        server.should_exit = True

    thread = threading.Thread(target=client)
    thread.start()
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(functools.partial(server._serve, None)())
    thread.join()
