"""Whom a client's call asks: a method and a host, read from the client's own frame; never a path, a query or a user."""

import asyncio
import sys
from types import SimpleNamespace
from typing import Any

import aiohttp
import httpx
import pytest
import requests

from whywait.tracer.host.code_location import await_site, library_call
from whywait.tracer.host.names.asked_address import asked_address


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(65536):
        pass
    writer.close()


async def asked_by(call: Any) -> str:
    """Of a task that waits for an answer that does not come."""
    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    task = asyncio.ensure_future(call(f"http://anna:secret@127.0.0.1:{port}/rates/7?key=3"))
    await asyncio.sleep(0.2)
    found = await_site(task.get_coro())
    task.cancel()
    await asyncio.wait([task])
    server.close()
    await server.wait_closed()
    await asyncio.sleep(0.05)
    assert found is not None
    assert found.user.function.rpartition(".")[2] in ("by_httpx", "by_aiohttp")
    return found.address.replace(str(port), "PORT")


async def by_httpx(url: str) -> None:
    async with httpx.AsyncClient(verify=False) as client:
        await client.post(url)


async def by_aiohttp(url: str) -> None:
    async with aiohttp.ClientSession() as client, client.put(url):
        pass


@pytest.mark.parametrize(("call", "method"), [(by_httpx, "POST"), (by_aiohttp, "PUT")])
def test_a_client_that_waits_for_an_answer_is_said_to_ask_its_host(call: Any, method: str) -> None:
    assert asyncio.run(asked_by(call)) == f"{method} 127.0.0.1:PORT"


def test_each_wait_of_the_same_place_has_the_address_of_its_own() -> None:
    async def both() -> list[str]:
        return [await asked_by(by_httpx), await asked_by(lambda url: by_httpx(url.replace("127.0.0.1", "localhost")))]

    assert asyncio.run(both()) == ["POST 127.0.0.1:PORT", "POST localhost:PORT"]


def test_a_synchronous_client_is_asked_in_its_stack() -> None:
    seen: list[Any] = []

    class Adapter(requests.adapters.HTTPAdapter):
        def send(self, request: Any, *_: Any, **__: Any) -> Any:
            seen.append(library_call(sys._getframe(1)))
            raise requests.ConnectionError

    session = requests.Session()
    session.mount("http://", Adapter())
    with pytest.raises(requests.ConnectionError):
        session.get("http://anna:secret@rates/7?key=3")
    (call, package, _, frame) = seen[0]
    assert (call, package) == ("Session.get", "requests")
    assert asked_address(frame) == "GET rates"


@pytest.mark.parametrize(
    ("request_", "address"),
    [
        (SimpleNamespace(method=b"GET", url=SimpleNamespace(host=b"rates", port=8080)), "GET rates:8080"),
        (SimpleNamespace(method="get", url="https://rates:443/a"), "GET rates"),
        (SimpleNamespace(method="GET", url="http://[::1]:80/a"), "GET [::1]"),
        (SimpleNamespace(method="GET", url="/a"), ""),
        (SimpleNamespace(method="GET"), ""),
    ],
)
def test_how_an_address_is_said(request_: Any, address: str) -> None:
    def send(request: Any) -> str:
        return asked_address(sys._getframe())

    assert send(request_) == address
