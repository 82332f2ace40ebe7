"""A task whose outer coroutines were compiled by Cython stands where the user's code inside them does."""

import asyncio
from typing import Any

import pytest

from whywait.tracer.host.code_location import await_site


async def ask(answer: "asyncio.Future[None]") -> None:
    await answer


def test_a_handler_of_grpc_is_found_inside_its_server_s_coroutines() -> None:
    grpc = pytest.importorskip("grpc")

    async def main() -> str:
        loop, tasks = asyncio.get_running_loop(), list[Any]()
        answer, asked = loop.create_future(), asyncio.Event()

        async def price(request: bytes, _: Any) -> bytes:
            tasks.append(asyncio.current_task())
            asked.set()
            await ask(answer)
            return request

        server = grpc.aio.server()
        handler = grpc.unary_unary_rpc_method_handler(price)
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("shop.Shop", {"Price": handler})])
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = asyncio.ensure_future(_reply(channel.unary_unary("/shop.Shop/Price")))
            await asyncio.wait_for(asked.wait(), 10)
            await asyncio.sleep(0)
            site = await_site(tasks[0].get_coro())
            answer.set_result(None)
            await call
        await server.stop(0)
        assert site is not None
        return site.user.function

    assert asyncio.run(main()) == "ask"


async def _reply(method: Any) -> Any:
    return await method(b"7")
