"""A service with OpenTelemetry of its own: a SimpleSpanProcessor sends each span as it ends, to a collector that takes 50 ms.

After https://github.com/open-telemetry/opentelemetry-python/issues/3660.

[street]
endpoint = "GET /quote"
cause = "blocking_io"
culprit = "price"
remedy = "BatchSpanProcessor"
load = [{path = "/quote", n = 20}]
"""

import asyncio
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from stamps import now, stamp
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route


class Collector(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        time.sleep(0.05)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


collector = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
threading.Thread(target=collector.serve_forever, daemon=True).start()
provider = TracerProvider()
provider.add_span_processor(
    SimpleSpanProcessor(OTLPSpanExporter(f"http://127.0.0.1:{collector.server_address[1]}/v1/traces"))
)
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("shop")


async def price(item):
    with tracer.start_as_current_span("price"):  # CULPRIT
        await asyncio.sleep(0.005)
        ended = now()
    stamp(ended)
    return item * 3


async def quote(request):
    return JSONResponse({"price": sum([await price(item) for item in range(3)])})


app = Starlette(routes=[Route("/quote", quote)])
