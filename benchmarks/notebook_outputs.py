"""Runs the notebooks with the recording and keeps what its cells showed: `make notebooks`.

A figure is kept in two forms: as plotly reads it, and as the picture of it that a page without plotly shows.
"""

import base64
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import nbformat
import plotly.graph_objects as go

from testbed import chromium
from testbed.notebooks import NOTEBOOKS, executed

# by name, what their environment says: in a Jaeger's place its notebook takes a path
NOTEBOOKS_SHOWN = {
    "gap_analysis.ipynb": {},
    "from_jaeger.ipynb": {"JAEGER_URL": "recording/batched.jsonl.gz", "SERVICE": "predictor"},
}
MIME = "application/vnd.plotly.v1+json"
WIDTH = 900  # pixels


def main() -> int:
    """Write the notebooks with their outputs; 0, 1 where a cell failed, or 2 where there is no Chromium."""
    if chromium.program() is None:
        print("notebooks: no Chromium; Debian's package is called chromium", file=sys.stderr)
        return 2
    with chromium.page() as page:
        for name, environment in NOTEBOOKS_SHOWN.items():
            with tempfile.TemporaryDirectory() as scratch:
                error = _kept(page, NOTEBOOKS / name, environment, Path(scratch))
            if error:
                print(f"notebooks: {name}: {error}", file=sys.stderr)
                return 1
    return 0


def _kept(page: chromium.Page, path: Path, environment: Mapping[str, str], scratch: Path) -> str:
    """Write a notebook with its outputs; what went wrong, or ""."""
    kept = nbformat.read(path, as_version=4)
    result = executed(path.name, scratch, environment)
    if result.error is not None:
        return str(result.error.summary)
    for old, new in zip(kept.cells, result.nb.cells, strict=True):
        if old.cell_type == "code":
            old.outputs, old.execution_count = new.outputs, new.execution_count
            for data in (one.data for one in new.outputs if MIME in one.get("data", {})):
                data["image/png"] = _picture(page, data[MIME], scratch)
    nbformat.write(kept, path)
    print(f"{path.name}: {path.stat().st_size // 1000} kB")
    return ""


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
