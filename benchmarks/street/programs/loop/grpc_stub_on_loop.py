"""The synchronous stub of gRPC is called in an `async def` endpoint.

[street]
endpoint = "GET /price"
cause = "blocking_io"
culprit = "price_of"
remedy = "blocking_io/blocks_loop"
load = [{path = "/price", n = 12}]
needs = ["grpc"]
"""

import time
from concurrent.futures import ThreadPoolExecutor

import grpc
from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()


def answer(request, context):
    time.sleep(0.08)
    return request


server = grpc.server(ThreadPoolExecutor(2))
server.add_generic_rpc_handlers(
    [grpc.method_handlers_generic_handler("shop.Shop", {"Price": grpc.unary_unary_rpc_method_handler(answer)})]
)
port = server.add_insecure_port("127.0.0.1:0")
server.start()
ask = grpc.insecure_channel(f"127.0.0.1:{port}").unary_unary("/shop.Shop/Price")


def price_of(item):
    since = now()
    found = ask(item)  # CULPRIT
    stamp(since)
    return found


@app.get("/price")
async def price():
    return {"price": price_of(b"7").decode()}
