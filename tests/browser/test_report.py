"""The report in a real browser: what it answers, does and refuses."""

from pathlib import Path

import pytest

from testbed.chromium import Page
from tests.analysis.report.test_report import HOSTILE, hostile_analysis
from whywait import analysis
from whywait.analysis.report.html.report import write_html

RECORDING = Path(__file__).resolve().parents[2] / "notebooks" / "recording"
ARROW_RIGHT, TAB, ENTER = 39, 9, 13


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_html(analysis.analyze(RECORDING / "collected.jsonl.gz"), path, "collected", top=4)
    return path


def test_it_opens_from_disk_asks_for_nothing_and_does_not_complain(tab: Page, report: Path) -> None:
    tab.open(report)
    assert [url for url in tab.requests if not url.startswith("file://")] == []
    assert len(tab.requests) == 1
    assert tab.complaints == []


@pytest.mark.parametrize("dark", [False, True])
def test_the_first_screen_answers_why_who_and_what(tab: Page, report: Path, dark: bool) -> None:
    tab.open(report, dark=dark, width=1200, height=800)
    seen = tab.run(
        "[...document.querySelectorAll('.answer dd, .answer dt')].filter((one) => { const box = one.getBoundingClientRect();"
        " return box.height > 0 && box.bottom < innerHeight; }).map((one) => one.innerText).join('\\n')"
    )
    for word in ("loop_busy", "Predictor._predict", "demo_service/predictor.py", "off the loop"):
        assert word in seen


def test_nothing_is_wider_than_the_window(tab: Page, report: Path) -> None:
    for width in (1200, 700, 380):
        tab.open(report, width=width)
        assert tab.run("document.documentElement.scrollWidth") <= width


def test_letters_can_be_read_in_light_and_dark(tab: Page, report: Path) -> None:
    for dark in (False, True):
        tab.open(report, dark=dark)
        worst = tab.run(CONTRAST)
        assert worst[0] >= 4.5, (dark, worst)


def test_pointing_at_a_stretch_tells_who_and_where(tab: Page, report: Path) -> None:
    tab.open(report, height=1600)
    x, y = tab.run(
        "(() => { const box = [...document.querySelectorAll('.lane.path button')].find((one) => "
        "one.title.startsWith('loop_busy') && one.offsetWidth > 40).getBoundingClientRect();"
        " return [box.x + box.width / 2, box.y + 5]; })()"
    )
    tab.point_at(x, y)
    said = tab.run("document.querySelector('.readout').textContent")
    assert said.startswith("loop_busy")
    assert "Predictor._predict (demo_service/predictor.py" in said


def test_keys_walk_the_path_and_zoom(tab: Page, report: Path) -> None:
    tab.open(report)
    tab.run("document.querySelector('.lane.path button').focus()")
    first = tab.run("document.querySelector('.readout').textContent")
    tab.press("ArrowRight", ARROW_RIGHT)
    second = tab.run("document.querySelector('.readout').textContent")
    assert first != second
    assert tab.run("document.activeElement.title") == second
    before = tab.run("document.activeElement.offsetWidth")
    tab.press("Enter", ENTER, "\r")
    assert tab.run("document.activeElement.offsetWidth") > 3 * before
    box, shown = tab.run(
        "(() => { const box = document.activeElement.getBoundingClientRect(), view ="
        " document.activeElement.closest('.view').getBoundingClientRect().toJSON(); return [box.x + box.width / 2, view]; })()"
    )
    assert shown["left"] < box < shown["right"]
    tab.press("0", 48, "0")
    assert tab.run("getComputedStyle(document.querySelector('.lanes')).getPropertyValue('--zoom').trim()") == "1"


def test_all_can_be_reached_by_tab_and_nothing_traps(tab: Page, report: Path) -> None:
    tab.open(report)
    seen = []
    for _ in range(40):
        tab.press("Tab", TAB)
        seen.append(tab.run("document.activeElement.outerHTML.slice(0, 60)"))
    assert "Skip to the answer" in seen[0] or 'class="skip"' in seen[0]
    assert len(set(seen)) > 12
    assert any("data-do" in one for one in seen)
    assert any("<summary" in one for one in seen)


def test_a_screen_reader_finds_landmarks_headings_and_tables(tab: Page, report: Path) -> None:
    tab.open(report)
    met = tab.accessible()
    roles = [role for role, _ in met]
    for role in ("banner", "main", "contentinfo", "region", "table", "columnheader", "rowheader"):
        assert role in roles, role
    assert ("heading", "Why slow, who, and what to do") in met
    assert all(name for role, name in met if role in {"button", "link", "image", "img"})
    assert any(role == "group" and "arrow keys" in name for role, name in met)


def test_it_prints_with_what_was_folded(tab: Page, report: Path) -> None:
    tab.open(report)
    last = "[...document.querySelectorAll('.request')].at(-1).querySelector('.lane').checkVisibility()"
    assert tab.run(last) is False
    assert tab.pdf().startswith(b"%PDF")
    assert tab.complaints == []
    tab.send("Emulation.setEmulatedMedia", media="print")
    try:
        assert tab.run("getComputedStyle(document.querySelector('.tools')).display") == "none"
        folded = "getComputedStyle(document.querySelector('details.card:not([open])'), '::details-content').contentVisibility"
        assert tab.run(folded) == "visible"
    finally:
        tab.send("Emulation.setEmulatedMedia", media="")


def test_a_trace_cannot_make_the_page_do_anything(tab: Page, tmp_path: Path) -> None:
    path = tmp_path / "hostile.html"
    write_html(hostile_analysis(), path, HOSTILE)
    tab.open(path)
    assert tab.complaints == []
    assert tab.run("document.scripts.length") == 1
    assert tab.run("document.querySelectorAll('img, iframe, object, [onerror], [onclick]').length") == 0
    assert "<script>alert(1)</script>" in tab.run("document.body.innerText")


CONTRAST = """(() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgb = (color) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const light = ([r, g, b]) => { const f = (v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
    return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b); };
  const behind = (one) => { for (; one; one = one.parentElement) { const c = rgb(getComputedStyle(one).backgroundColor);
    if (c[3] > 250) return c; } return [255, 255, 255, 255]; };
  let worst = [99, ''];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const one = node.parentElement;
    if (!node.data.trim() || !one.getClientRects().length || one.closest('script, .skip, .hidden')) continue;
    const a = light(rgb(getComputedStyle(one).color)), b = light(behind(one));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < worst[0]) worst = [ratio, node.data.slice(0, 60) + ' in ' + one.className];
  }
  return worst;
})()"""
