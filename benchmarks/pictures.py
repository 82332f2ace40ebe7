"""Makes the pictures of the docs from the committed recording, in a real browser: `make pictures`.

the report as `whywait` writes it, and the notebook as it runs, each on a light and on a dark page.
"""

import argparse
import html
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import plotly.graph_objects as go

from testbed import chromium
from testbed.notebooks import NOTEBOOKS, executed
from whywait import analysis
from whywait.analysis.report.html.report import write_html

RECORDING = NOTEBOOKS / "recording"
PAGES = {False: ("#ffffff", "#1f2328"), True: ("#111111", "#e6e9ed")}  # dark: background, letters
MIME = "application/vnd.plotly.v1+json"


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the pictures; 0, or 2 where there is no Chromium."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pictures", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the pictures go")
    folder: Path = parser.parse_args(argv).folder
    if chromium.program() is None:
        print("pictures: no Chromium; Debian's package is called chromium", file=sys.stderr)
        return 2
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, chromium.page() as page:
        scratch = Path(name)
        report = _report(scratch)
        for dark in (False, True):
            shade = "dark" if dark else "light"
            page.open(report, dark=dark, height=1500)
            page.screenshot(folder / f"report-{shade}.png")
        page.open(report, height=1000)
        _zoom_to_a_culprit(page)
        page.screenshot(folder / "timeline-zoomed.png")
        for dark, path in _notebook(scratch).items():
            page.open(path, dark=dark, width=1060)
            page.run("new Promise((done) => setTimeout(done, 1500))")  # the figures draw themselves after loading
            page.screenshot(folder / f"notebook-{'dark' if dark else 'light'}.png", whole=True)
    for picture in sorted(folder.glob("*.png")):
        print(f"{picture}: {picture.stat().st_size // 1000} kB")
    return 0


def _report(scratch: Path) -> Path:
    path = scratch / "report.html"
    found = analysis.analyze(RECORDING / "collected.jsonl.gz")
    write_html(found, path, "whywait: predictions done, and not collected", top=3)
    return path


def _zoom_to_a_culprit(page: chromium.Page) -> None:
    page.run(
        "(() => { const tile = [...document.querySelectorAll('.lane.path button')].find((one) =>"
        " one.title.startsWith('loop_busy') && one.title.includes(' by '));"
        " tile.click(); tile.focus(); document.querySelector('#slowest').scrollIntoView(); })()"
    )


def _notebook(scratch: Path) -> dict[bool, Path]:
    """Return pages, by dark, with what the notebook's cells say and show."""
    result = executed("gap_analysis.ipynb", scratch)
    if result.error is not None:
        raise RuntimeError(result.error.summary)
    parts, library = [], True
    for cell in result.nb.cells:
        source = html.escape(cell.source)
        parts.append(f"<pre class={cell.cell_type}>{source}</pre>")
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if MIME in data:
                figure = go.Figure(data[MIME]["data"], data[MIME]["layout"])
                parts.append(
                    figure.to_html(full_html=False, include_plotlyjs=library, config={"displayModeBar": False})
                )
                library = False
            elif "text/html" in data:
                parts.append(data["text/html"])
    found = {}
    for dark, (background, letters) in PAGES.items():
        style = (
            f"body {{ background: {background}; color: {letters}; font: 14px system-ui, sans-serif; margin: 16px; }}"
            "pre.code { border: 1px solid #8884; border-radius: 4px; padding: 8px; } pre.markdown { font: inherit;"
            " white-space: pre-wrap; } table { border-collapse: collapse; font-size: 12px; } td, th { padding: 4px 8px;"
            " text-align: left; vertical-align: top; border-bottom: 1px solid #8884; }"
        )
        path = scratch / f"notebook-{dark}.html"
        path.write_text(f"<!doctype html><meta charset=utf-8><style>{style}</style>{''.join(parts)}")
        found[dark] = path
    return found


if __name__ == "__main__":
    sys.exit(main())
