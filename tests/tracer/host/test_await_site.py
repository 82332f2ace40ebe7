"""Where a suspended coroutine is said to stand."""

import asyncio
import sys
from collections.abc import AsyncIterator
from types import ModuleType
from typing import Any

import pytest

from whywait.tracer.host.code_location import Site, await_site
from whywait.tracer.schema import STEP_CONNECT, STEP_PACE, STEP_PAUSE, STEP_TLS

SERVER = "/venv/lib/python3/site-packages/uvicorn/protocols/http/flow_control.py"


def site_of(coroutine: Any) -> Site:
    """Of a coroutine that is run to its first suspension and thrown away."""

    async def main() -> Site:
        task = asyncio.ensure_future(coroutine)
        await asyncio.sleep(0)
        found = await_site(task.get_coro())
        task.cancel()
        assert found is not None
        return found

    return asyncio.run(main())


def compiled(source: str, file: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(source, file, "exec"), names)
    return names


async def user(awaitable: Any) -> None:
    await awaitable


def test_a_server_that_waits_for_its_client_is_named_and_not_asyncios_primitive() -> None:
    drain = compiled("async def drain(event):\n    await event.wait()\n", SERVER)["drain"]
    found = site_of(user(drain(asyncio.Event())))
    assert (found.leaf_module, found.leaf_function) == ("uvicorn.protocols.http.flow_control", "drain")
    assert found.user.function == "user"


def test_a_users_own_event_is_the_events() -> None:
    run_asgi = compiled("async def run_asgi(app):\n    await app\n", SERVER)["run_asgi"]
    found = site_of(run_asgi(user(asyncio.Event().wait())))
    assert (found.leaf_module, found.leaf_function) == ("asyncio.locks", "Event.wait")


@pytest.mark.parametrize("endpoint", [True, False])
def test_a_middleware_of_the_users_is_not_where_the_libraries_within_it_wait(endpoint: bool) -> None:
    inner = "async def app(scope, receive, send):\n    await scope\n"
    app = compiled(inner, SERVER.replace("uvicorn/protocols", "starlette"))["app"]
    middleware = compiled("async def middleware(app, then):\n    await app(then, 0, 0)\n", "/app/timing.py")[
        "middleware"
    ]
    found = site_of(middleware(app, user(asyncio.Event().wait()) if endpoint else asyncio.Event().wait()))
    assert found.user.function == ("user" if endpoint else "Event.wait")
    assert (found.call, found.package) == ("", "")


def test_the_users_functions_around_the_innermost_are_its_callers() -> None:
    inner = compiled("async def send(event):\n    await event.wait()\n", "/srv/shop/api.py")["send"]
    outer = compiled("async def load(one):\n    await one\n", "/srv/shop/orders.py")["load"]
    server = compiled("async def run_asgi(app):\n    await app\n", SERVER)["run_asgi"]
    found = site_of(outer(server(user(inner(asyncio.Event())))))
    assert found.callers == ("user (host/test_await_site.py)", "load (shop/orders.py)")


LIBRARY = """
class Client:
    async def get(self, event):
        return await self.send(event)
    async def send(self, event):
        await event.wait()
    async def lines(self, event):
        yield await self.send(event)
class Call:
    def __init__(self, event):
        self.event = event
    def __await__(self):
        return Client().get(self.event).__await__()
"""
INSTALLED = "/venv/lib/python3/site-packages/client/core.py"


async def over(lines: Any) -> None:
    async for _ in lines:
        pass


def test_the_librarys_function_that_the_user_called_is_named() -> None:
    names = compiled(LIBRARY, INSTALLED)
    client, event = names["Client"](), asyncio.Event
    for call, called in (
        (user(client.get(event())), "Client.get"),
        (user(asyncio.wait_for(client.get(event()), 9)), "Client.get"),
        (user(names["Call"](event())), "Client.get"),  # behind an `__await__`
        (over(client.lines(event())), "Client.lines"),  # in an asynchronous generator
    ):
        found = site_of(call)
        if found.leaf_function == "wait_for":  # before Python 3.12 what it waits for is a task of its own
            continue
        assert (found.call, found.package) == (called, "client")
        assert (found.leaf_module, found.leaf_function) == ("asyncio.locks", "Event.wait")
        assert found.user.function in ("user", "over")


def test_the_name_that_the_user_wrote_stands_for_asyncios_own_beneath_it() -> None:
    async def user(other: "asyncio.Task[Any]") -> None:
        await asyncio.wait({other}, timeout=9)

    async def main() -> str:
        task = asyncio.create_task(user(other := asyncio.create_task(asyncio.sleep(9))))
        await asyncio.sleep(0)
        found = await_site(task.get_coro())
        other.cancel()
        await task
        return found.leaf_function if found else ""

    assert asyncio.run(main()) == "asyncio.wait"


def test_no_librarys_function_is_named_where_the_user_awaits_by_himself() -> None:
    get = compiled(LIBRARY, INSTALLED)["Client"]().get
    found = site_of(get_through(get, asyncio.Event()))
    assert (found.user.function.rsplit(".", 1)[-1], found.call) == ("inner", "")


async def get_through(get: Any, event: asyncio.Event) -> None:
    """A library calls the user's code back: what it awaits there is its own."""

    async def inner() -> None:
        await event.wait()

    class Inner:
        wait = staticmethod(inner)

    await get(Inner)


STEPS = """
async def connect_tcp(event):
    await event.wait()
class Stream:
    async def start_tls(self, event):
        await event.wait()
class Pool:
    async def connect_and_ask(self, event):
        await event.wait()
    async def _connect(self, event, how):
        await getattr(Stream(), how, connect_tcp)(event)
"""


@pytest.mark.parametrize(("how", "step"), [("start_tls", STEP_TLS), ("plain", STEP_CONNECT), ("", "")])
def test_while_a_connection_is_made_its_step_is_told(how: str, step: str) -> None:
    pool = compiled(STEPS, "/venv/lib/python3/site-packages/rates/pool.py")["Pool"]()
    event = asyncio.Event()
    found = site_of(user(pool._connect(event, how) if how else pool.connect_and_ask(event)))
    assert (found.step, found.leaf_function) == (step, "Event.wait")
    assert site_of(user(user(asyncio.Event().wait()))).step == ""


def test_the_users_own_function_of_that_name_is_no_step() -> None:
    async def connect() -> None:
        await asyncio.Event().wait()

    assert site_of(connect()).step == ""


async def until(done: list[int]) -> None:
    while not done:
        await asyncio.sleep(9)


async def for_each(items: list[int]) -> None:
    for _ in items:
        await asyncio.sleep(9)


async def until_told(socket: Any) -> None:
    while not await socket.done():
        await asyncio.sleep(9)


async def send_each(items: list[int], socket: Any) -> None:
    while True:
        for item in items:
            await asyncio.sleep(9)
            await socket.send_text(item)


async def answer(send: Any) -> None:
    while True:
        await asyncio.sleep(9)
        await send({})


async def parts(items: list[int]) -> AsyncIterator[int]:
    for item in items:
        await asyncio.sleep(9)
        yield item


async def first_of(some: AsyncIterator[int]) -> None:
    async for _ in some:
        return


class NotDone:
    async def done(self) -> bool:
        return False


@pytest.mark.parametrize(
    ("how", "step"),
    [(until([]), STEP_PAUSE), (until_told(NotDone()), STEP_PAUSE), (for_each([1]), ""),
     (send_each([1], None), STEP_PACE), (answer(None), STEP_PACE), (first_of(parts([1])), STEP_PACE)],
    ids=["while", "while it asks", "for", "between what is sent", "a function that sends", "between what is yielded"],
)  # fmt: skip
def test_what_a_sleep_in_a_loop_is(how: Any, step: str) -> None:
    assert site_of(how).step == step


PARTS = """
import asyncio
async def parts(jobs):
    while jobs:
        await asyncio.sleep(9)
        yield jobs.pop()
"""


def test_a_librarys_generator_that_pauses_looks_for_what_it_yields() -> None:
    library, users = (
        compiled(PARTS, path)["parts"] for path in ("/venv/lib/python3/site-packages/jobs/of.py", "/srv/of.py")
    )
    assert site_of(first_of(library([1]))).step == STEP_PAUSE
    assert site_of(first_of(users([1]))).step == STEP_PACE


RETRYING = """
import asyncio
class AsyncRetrying:
    def __aiter__(self):
        return self
    async def __anext__(self):
        await asyncio.sleep(9)
"""


def test_a_library_that_is_only_in_a_special_method_is_told_by_its_class() -> None:
    retrying = compiled(RETRYING, "/venv/lib/python3/site-packages/tenacity/tries.py")["AsyncRetrying"]
    site = site_of(first_of(retrying()))
    assert (site.call, site.package, site.leaf_function) == ("AsyncRetrying", "tenacity", "sleep")


CLIENT = """
class Client:
    def get(self, event):
        return self._request(event)
    async def _request(self, event):
        await event.wait()
"""


def test_what_the_user_wrote_is_named_and_not_the_private_method_that_it_made() -> None:
    file = "/venv/lib/python3/site-packages/made_up_client.py"
    module = ModuleType("made_up_client")
    exec(compile(CLIENT, file, "exec"), module.__dict__)

    async def ask() -> None:
        client = module.Client()
        await client.get(asyncio.Event())

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "made_up_client", module)
        assert site_of(ask()).call == "Client.get"


REDIS = """
class Redis:
    async def execute_command(self, *args, **options):
        await args[-1].wait()
"""


@pytest.mark.parametrize(
    ("given", "call"),
    [
        (("GET", "user:7"), "Redis.get"),
        ((b"XREAD", b"BLOCK", 500, b"STREAMS"), "Redis.xread(block=...)"),
        (("XREAD", "STREAMS"), "Redis.xread"),
        (("CLIENT LIST",), "Redis.client"),
        (("a secret:7 BLOCK",), "Redis.a"),
        (("?",), "Redis.execute_command"),
        ((7,), "Redis.execute_command"),
    ],
)
def test_a_command_of_redis_is_named_as_the_method_that_the_user_called(given: tuple[Any, ...], call: str) -> None:
    client = compiled(REDIS, INSTALLED.replace("client/core", "redis/asyncio/client"))["Redis"]()
    found = site_of(user(client.execute_command(*given, asyncio.Event())))
    assert (found.call, found.package, found.address) == (call, "redis", "")
