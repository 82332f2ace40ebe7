"""The comparison's page in a real browser."""

from pathlib import Path

import pytest

from testbed.chromium import Page
from tests.analysis.report.test_report import HOSTILE, hostile_analysis
from tests.browser.test_report import CONTRAST, RECORDING
from whywait import analysis
from whywait.analysis.report.html.diff import write_diff_html


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sides = tuple(
        analysis.renamed(analysis.analyze(RECORDING / f"{name}.jsonl.gz"), "predict")
        for name in ("threaded", "batched")
    )
    path = tmp_path_factory.mktemp("diff") / "diff.html"
    write_diff_html(analysis.compare(*sides, percentile=50), sides, ("threaded", "batched"), path)  # type: ignore[arg-type, misc]
    return path


def test_it_opens_from_disk_and_the_first_screen_says_what_changed(tab: Page, compared: Path) -> None:
    for dark in (False, True):
        tab.open(compared, dark=dark, height=800)
        assert tab.complaints == []
        assert [url for url in tab.requests if not url.startswith("file://")] == []
        worst = tab.run(CONTRAST)
        assert worst[0] >= 4.5, (dark, worst)
    seen = tab.run("document.querySelector('article').innerText")
    assert "faster" in seen
    assert "queued for a worker of a pool" in seen
    assert tab.run("document.querySelector('article li').getBoundingClientRect().bottom < innerHeight")


def test_the_bars_lead_from_before_to_after(tab: Page, compared: Path) -> None:
    tab.open(compared)
    bars = tab.run(
        "[...document.querySelectorAll('.move > i')].map((one) => ({ way: one.className,"
        " left: parseFloat(one.style.left), right: parseFloat(one.style.left) + parseFloat(one.style.width) }))"
    )
    at = bars[0]["right"]
    for bar in bars[1:-1]:
        began, ended = ("left", "right") if bar["way"].startswith("up") else ("right", "left")
        assert bar[began] == pytest.approx(at, abs=0.01)
        at = bar[ended]
    assert bars[-1]["right"] == pytest.approx(at, abs=0.01)


def test_a_screen_reader_finds_the_table(tab: Page, compared: Path) -> None:
    tab.open(compared)
    met = tab.accessible()
    assert {"banner", "main", "article", "table", "columnheader", "rowheader"} <= {role for role, _ in met}
    assert any(role == "table" and name.startswith("p50 of predict") for role, name in met)


def test_a_trace_cannot_make_the_page_do_anything(tab: Page, tmp_path: Path) -> None:
    sides = hostile_analysis(), hostile_analysis()
    path = tmp_path / "hostile.html"
    write_diff_html(analysis.compare(*sides, percentile=50), sides, (HOSTILE, HOSTILE), path)
    text = path.read_text()
    assert "\x1b" not in text
    assert "\u202e" not in text
    tab.open(path)
    assert tab.complaints == []
    assert tab.run("document.scripts.length") == 1
    assert "<script>alert(1)</script>" in tab.run("document.body.innerText")
