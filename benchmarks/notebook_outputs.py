"""Runs the notebook of the recording and keeps what its cells showed: `make notebooks`.

A figure is kept in two forms: as plotly reads it, and as the picture of it that a page without plotly shows.
"""

import base64
import sys
import tempfile
from pathlib import Path

import nbformat
import plotly.graph_objects as go

from testbed import chromium
from testbed.notebooks import NOTEBOOKS, executed

NAME = "gap_analysis.ipynb"
MIME = "application/vnd.plotly.v1+json"
WIDTH = 900  # pixels


def main() -> int:
    """Write the notebook with its outputs; 0, 1 where a cell failed, or 2 where there is no Chromium."""
    if chromium.program() is None:
        print("notebooks: no Chromium; Debian's package is called chromium", file=sys.stderr)
        return 2
    path = NOTEBOOKS / NAME
    kept = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as name, chromium.page() as page:
        result = executed(NAME, Path(name))
        if result.error is not None:
            print(f"notebooks: {result.error.summary}", file=sys.stderr)
            return 1
        for old, new in zip(kept.cells, result.nb.cells, strict=True):
            if old.cell_type == "code":
                old.outputs, old.execution_count = new.outputs, new.execution_count
                for data in (one.data for one in new.outputs if MIME in one.get("data", {})):
                    data["image/png"] = _picture(page, data[MIME], Path(name))
    nbformat.write(kept, path)
    print(f"{path.name}: {path.stat().st_size // 1000} kB")
    return 0


def _picture(page: chromium.Page, figure: dict[str, dict[str, object]], scratch: Path) -> str:
    """A figure as a PNG in base64."""
    layout = {**figure["layout"], "paper_bgcolor": "white", "width": WIDTH}
    drawn, picture = scratch / "figure.html", scratch / "figure.png"
    whole = go.Figure(figure["data"], layout)
    drawn.write_text(
        f"<!doctype html><meta charset=utf-8><style>body {{ margin: 0 }}</style>{whole.to_html(full_html=False, config={'displayModeBar': False})}"
    )
    page.open(drawn, width=WIDTH, height=int(str(layout["height"])))
    page.run("new Promise((done) => setTimeout(done, 500))")  # the figure draws itself after loading
    page.screenshot(picture)
    return base64.b64encode(picture.read_bytes()).decode()


if __name__ == "__main__":
    sys.exit(main())
