"""A gRPC service downstream is slow; the call is made with grpc.aio.

[street]
endpoint = "GET /price"
cause = "await_io"
culprit = "price_of"
remedy = "await_io"
load = [{path = "/price", n = 16, clients = 2}]
needs = ["grpc"]
"""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import grpc
import grpc.aio
from fastapi import FastAPI
from stamps import now, stamp


def answer(request, context):
    time.sleep(0.12)
    return request


def pricing():
    server = grpc.server(ThreadPoolExecutor(4))
    of = {"Price": grpc.unary_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.Pricing", of),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


@asynccontextmanager
async def lifespan(app):
    server, port = pricing()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        app.state.ask = channel.unary_unary("/shop.Pricing/Price")
        yield
    server.stop(None)


app = FastAPI(lifespan=lifespan)


async def price_of(article):
    since = now()
    found = await app.state.ask(article)  # CULPRIT
    stamp(since)
    return found


@app.get("/price")
async def price():
    return {"bytes": len(await price_of(b"42"))}
