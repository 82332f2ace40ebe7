"""Makes the recording that the notebook and its test start from: `python -m benchmarks.recording FOLDER`, without
what names the machine: threaded.jsonl.gz (few and many clients), batched.jsonl.gz, and collected.jsonl.gz (threaded,
while others predict on the event loop: nobody takes the results)."""

import argparse
import asyncio
import gzip
import json
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from sysconfig import get_path
from typing import Any, Final

from demo_service.driver.interruption import run_until_interrupted
from demo_service.driver.server_process import ServerError, ServerPlan, running
from demo_service.load import LoadError, drive
from demo_service.plan import Bounds

ROOT: Final = Path(__file__).resolve().parents[1]
HOST_NAME: Final = "demo"
MOST_BYTES: Final = 1_000_000  # of all files: they are committed
WARM_UP: Final = Bounds(seconds=5, requests=6)
SECONDS: Final = 20.0  # at most, per cell


@dataclass(frozen=True, slots=True)
class Cell:
    """Clients that drive one mode."""

    mode: str
    clients: int
    requests: int


# cells of a group run at once, groups one after the other
PLAN: Final[dict[str, tuple[tuple[Cell, ...], ...]]] = {
    "threaded": ((Cell("to_thread", 1, 3),), (Cell("to_thread", 4, 6),), (Cell("to_thread", 12, 12),)),
    "batched": ((Cell("batch", 1, 6),), (Cell("batch", 4, 16),), (Cell("batch", 12, 26),)),
    "collected": ((Cell("to_thread", 3, 6), Cell("sequential", 14, 24)),),
}


def record(folder: Path) -> int:
    """Makes the files in `folder`; returns their size in bytes. Raises ServerError and LoadError."""
    folder.mkdir(parents=True, exist_ok=True)
    size = 0
    for name, groups in PLAN.items():
        with tempfile.TemporaryDirectory() as scratch:
            traces = Path(scratch) / "traces"
            plan = ServerPlan(0, "asyncio", traces, Path(scratch) / "server.log", {"OTEL_SERVICE_NAME": "predictor"})
            with running(plan, lambda: None) as url:
                begun_ns = run_until_interrupted(partial(_drive, url, groups))
            lines = [line for file in sorted(traces.glob("*.jsonl")) for line in file.read_text().splitlines()]
        target = folder / f"{name}.jsonl.gz"
        target.write_bytes(compressed(kept(lines, begun_ns)))
        size += target.stat().st_size
    return size


async def _drive(url: str, groups: Iterable[tuple[Cell, ...]]) -> int:
    """Drives the groups; returns when the first of them began, after the warm-up."""
    groups = tuple(groups)
    for mode in {cell.mode for group in groups for cell in group}:
        await drive(url, mode, 1, WARM_UP, seed=99)
    await asyncio.sleep(1)
    begun_ns = time.time_ns()
    for group in groups:
        await asyncio.gather(
            *(drive(url, cell.mode, cell.clients, Bounds(SECONDS, cell.requests), seed=cell.clients) for cell in group)
        )
        await asyncio.sleep(2)  # the exporter works between groups
    return begun_ns


def kept(lines: Sequence[str], begun_ns: int) -> Iterator[str]:
    """Yield the lines with the traces of predictions that began after `begun_ns`, and without names of the machine."""
    exports = list(map(json.loads, filter(str.strip, lines)))
    wanted = {
        span["traceId"]
        for span in _spans(exports)
        if span["name"].startswith("POST /predict/") and int(span["startTimeUnixNano"]) >= begun_ns
    }
    for export in exports:
        _hide_host(export)
        for scope in _scopes(export):
            scope["spans"] = [span for span in scope["spans"] if span["traceId"] in wanted]
        if any(_spans([export])):
            yield anonymous(json.dumps(export, separators=(",", ":")))


def _hide_host(export: dict[str, Any]) -> None:
    for resource in export["resourceSpans"]:
        for attribute in resource["resource"]["attributes"]:
            if attribute["key"] == "host.name":
                attribute["value"] = {"stringValue": HOST_NAME}


def anonymous(line: str) -> str:
    """Return the line with the paths of this installation cut to what they are relative to."""
    site, library = get_path("purelib"), get_path("stdlib")
    for path, name in ((site, "site-packages"), (library, Path(library).name), (str(ROOT), "")):
        line = line.replace(json.dumps(f"{path}/")[1:-1], f"{name}/" if name else "")
    return line


def compressed(lines: Iterable[str]) -> bytes:
    """Return the lines as one gzip member; the same lines give the same bytes."""
    return gzip.compress("".join(f"{line}\n" for line in lines).encode(), compresslevel=9, mtime=0)


def _spans(exports: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for export in exports:
        for scope in _scopes(export):
            yield from scope["spans"]


def _scopes(export: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for resource in export["resourceSpans"]:
        yield from resource["scopeSpans"]


def main(argv: Sequence[str] | None = None) -> int:
    """Records; 0, or 2 when the service cannot be driven or the recording is too large to commit."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.recording", description="Makes the recording that the notebook starts from."
    )
    parser.add_argument("folder", type=Path, help="where the files go, such as notebooks/recording")
    options = parser.parse_args(argv)
    try:
        size = record(options.folder)
    except (ServerError, LoadError) as error:
        print(f"recording: {error}", file=sys.stderr)
        return 2
    print(f"{options.folder}: {size / 1e6:.2f} MB")
    if size > MOST_BYTES:
        print(f"recording: more than {MOST_BYTES / 1e6:.0f} MB, too large to commit", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
