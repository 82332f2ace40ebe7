"""Secrets that are planted in requests, in the service's own spans and in its children are in no output of whywait.

collected  everything that came of one run, by output
"""

import contextlib
import os
import re
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from testbed.service import ROOT, free_port
from tests.unharmed.serving import serving, traced

SECRET = re.compile(r"SECRET[-\w]*")
IN_SPANS = {
    "SECRET-query", "SECRET-path-1", "SECRET-header", "SECRET-cookie", "SECRET-bearer", "SECRET-user", "SECRET-client-query", "SECRET-statement",
    "SECRET-redis", "SECRET-parameter", "SECRET-event", "SECRET-status", "SECRET-exception", "SECRET-phase",
}  # fmt: skip
"""Those that OpenTelemetry's instrumentations write into spans."""


@contextmanager
def receiver() -> Iterator[tuple[str, list[bytes]]]:
    """The address of an OTLP receiver, and the bodies of what it has received."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", bodies
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ask(url: str) -> None:
    request = urllib.request.Request(
        f"{url}/SECRET-path-1?q=SECRET-query", data=b"body=SECRET-body",
        headers={"Authorization": "Bearer SECRET-bearer", "Cookie": "sid=SECRET-cookie", "X-Mine": "SECRET-header"},
    )  # fmt: skip
    with contextlib.suppress(urllib.error.HTTPError):
        urllib.request.urlopen(request, timeout=30).close()


def served(app: str, folder: Path, environment: Mapping[str, str], path: str) -> tuple[str, bytes]:
    """What a service said and what it sent, after two requests with secrets."""
    port = free_port()
    server = [sys.executable, "-m", "uvicorn", f"tests.unharmed.secret_app:{app}", "--port", str(port)]
    command = traced(folder / "traces", *server, "--log-level", "critical")
    with receiver() as (address, bodies):
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": address, "OTEL_METRICS_EXPORTER": "otlp",
            "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST": ".*", "TOKEN": "SECRET-environment", **environment,
        }  # fmt: skip
        with serving(command, port, folder / f"{app}.log", environment=environment, path="/up") as service:
            for _ in range(2):
                ask(f"{service.url}{path}")
    return service.said, b"\n".join(bodies)


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("redacted")
    fast, plain = served("fast", folder, {}, "/reset"), served("app", folder, {}, "/verify")
    found = {
        "log": "\n".join(line for said, _ in (fast, plain) for line in said.splitlines() if "whywait" in line),
        "OTLP": "\n".join(sent.decode(errors="replace") for _, sent in (fast, plain)),
        "file": "\n".join(path.read_text() for path in (folder / "traces").iterdir()),
    }
    words = {
        "report": ["report", "traces"],
        "json": ["report", "traces", "--json"],
        "html": ["report", "traces", "--html", "report.html"],
        "perfetto": ["export", "traces", "--perfetto", "out.json"],
        "annotated": ["annotate", "traces", "--output", "annotated.jsonl"],
        "diff": ["diff", "traces", "traces"],
    }
    for output, command in words.items():
        done = subprocess.run(
            [sys.executable, "-m", "whywait", *command], cwd=folder, capture_output=True, text=True, timeout=120,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found[output] = (
            done.stdout
            + done.stderr
            + "".join(path.read_text() for path in folder.iterdir() if path.name == command[-1] and path.is_file())
        )
    return found


def secrets_in(text: str) -> set[str]:
    return set(SECRET.findall(text))


def test_no_output_has_a_secret(collected: dict[str, str]) -> None:
    assert {output: secrets_in(text) for output, text in collected.items() if secrets_in(text)} == {}
    assert all(collected.values())


def test_what_was_asked_and_where_is_still_told(collected: dict[str, str]) -> None:
    assert "POST /reset/{token}" in collected["report"]
    for word in ("whywait.rival.names", "INSERT shop", "ValueError", "INSERT INTO cards VALUES (", "https://host/a"):
        assert word in collected["file"], word


def test_without_redaction_they_are_there(tmp_path: Path) -> None:
    """So the instrumentations do write them, and the test above can fail."""
    sent = [served(app, tmp_path, {"WHYWAIT_REDACT": "nothing"}, path)[1].decode(errors="replace")
            for app, path in (("fast", "/reset"), ("app", "/verify"))]  # fmt: skip
    written = "".join(path.read_text() for path in (tmp_path / "traces").iterdir())
    assert secrets_in(written) == IN_SPANS
    # in protobuf the next field begins right behind a text
    assert {one for one in IN_SPANS if one in "".join(sent)} == IN_SPANS
