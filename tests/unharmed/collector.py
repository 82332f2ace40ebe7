"""A small OTLP collector over HTTP that can be well, slow, or failing; or be found not to be there."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from testbed.service import free_port

LONG_S = 120.0  # longer than any test waits


class Collector:
    """What came in, and how it answers from now on."""

    def __init__(self, manner: str) -> None:
        self.manner = manner  # "well", "slow", "failing"
        self.posts = 0
        self.traces: dict[str, set[int]] = {}  # trace id, process ids
        self.spans: list[dict[str, Any]] = []  # name and attributes
        self.end = threading.Event()
        self.url = ""

    def take(self, body: bytes) -> None:
        """Keeps what a post said."""
        message = ExportTraceServiceRequest.FromString(body)
        for resource in message.resource_spans:
            said = {one.key: one.value.int_value for one in resource.resource.attributes}
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.traces.setdefault(span.trace_id.hex(), set()).add(said["process.pid"])
                    self.spans.append({"name": span.name} | {one.key: one.value for one in span.attributes})


@contextmanager
def collecting(manner: str) -> Iterator[Collector]:
    """A collector at `url`; where the manner is "down", nobody listens there."""
    collector = Collector(manner)
    if manner == "down":
        collector.url = f"http://127.0.0.1:{free_port()}"
        yield collector
        return
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(collector))
    server.daemon_threads = True
    server.block_on_close = False
    collector.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield collector
    finally:
        collector.end.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(collector: Collector) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.posts += 1
            if collector.manner == "slow":
                collector.end.wait(LONG_S)
                self.close_connection = True
                return
            failing = collector.manner == "failing"
            if not failing:
                collector.take(body)
            self.send_response(500 if failing else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    return Handler
