"""Where a suspended coroutine is said to stand."""

import asyncio
from typing import Any

from whywait.tracer.host.code_location import Site, await_site

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
