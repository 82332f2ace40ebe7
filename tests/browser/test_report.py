"""The report in a real browser: what it answers, does and refuses."""

from pathlib import Path

import pytest

from testbed.chromium import Page
from tests.analysis.report.test_report import HOSTILE, hostile_analysis
from whywait import analysis
from whywait.analysis.report.html.report import write_html

RECORDING = Path(__file__).resolve().parents[2] / "notebooks" / "recording"
ARROW_LEFT, ARROW_RIGHT, END, TAB, ENTER = 37, 39, 35, 9, 13


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
    for word in ("loop_busy", "Predictor._predict", "demo_service/predictor.py", "off the event loop"):
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
        "(() => { const one = [...document.querySelectorAll('.lane.path button')].find((one) => "
        "one.title.startsWith('loop_busy') && one.offsetWidth > 40); one.scrollIntoView({block: 'center'});"
        " const box = one.getBoundingClientRect(); return [box.x + box.width / 2, box.y + 5]; })()"
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
    assert tab.run("document.activeElement.offsetWidth") >= 3
    seen = tab.run(
        "[...document.querySelector('.lane.path').querySelectorAll('button')].map((one) => one.offsetWidth >= 3)"
    )
    tab.press("End", END)
    for _ in range(seen.count(True) - 1):
        tab.press("ArrowLeft", ARROW_LEFT)
    assert tab.run("document.activeElement.offsetWidth") >= 3, "the first of those that can be seen"
    first = tab.run("document.activeElement.title")
    tab.press("ArrowLeft", ARROW_LEFT)
    assert tab.run("document.activeElement.title") == first
    tab.press("ArrowRight", ARROW_RIGHT)
    before = tab.run("document.activeElement.offsetWidth")
    tab.press("Enter", ENTER, "\r")
    assert tab.run("document.activeElement.offsetWidth") > 3 * before
    box, shown = tab.run(
        "(() => { const box = document.activeElement.getBoundingClientRect(), view ="
        " document.activeElement.closest('.view').getBoundingClientRect().toJSON(); return [box.x + box.width / 2, view]; })()"
    )
    assert shown["left"] < box < shown["right"]
    unit = tab.run("document.querySelector('.scale > .name').getBoundingClientRect().toJSON()")
    assert tab.run("document.querySelector('.scale > .name').textContent") == "ms"
    assert shown["left"] <= unit["left"] < shown["right"], "the axis has its unit while zoomed"
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


def test_the_list_is_searched_added_up_sorted_and_limited_by_a_drag_over_the_dots(tab: Page, report: Path) -> None:
    tab.open(report)
    said = "document.querySelector('#find output').textContent"
    whole = tab.run(said)
    count = int(whole.split()[0])
    assert whole.startswith(f"{count} of {count} requests, ")
    assert tab.run("document.querySelectorAll('#list tbody tr').length") == count
    search = "(() => { const one = document.querySelector('#find input'); one.value = '%s';"
    search += " one.dispatchEvent(new Event('input', { bubbles: true })); })()"
    tab.run(search % "no such request")
    assert tab.run(said) == f"0 of {count} requests, 0 ms in sum"
    tab.run("document.querySelector('#find button').click()")
    assert tab.run(said) == whole

    felt = "[...document.querySelectorAll('#list tbody tr')].map((one) => Number(one.cells[1].firstElementChild.textContent.replaceAll(',', '')))"
    assert tab.run(felt) == sorted(tab.run(felt), reverse=True)
    for direction in ("descending", "ascending"):
        tab.run("document.querySelectorAll('#list thead button')[1].click()")
        assert tab.run("document.querySelectorAll('#list thead th')[1].ariaSort") == direction
        assert tab.run(felt) == sorted(tab.run(felt), reverse=direction == "descending")

    tab.run("document.querySelector('.dots').scrollIntoView({ block: 'center' })")
    x, y, width = tab.run(
        "(() => { const box = document.querySelector('.dots svg').getBoundingClientRect(); return [box.x, box.y + 60, box.width]; })()"
    )
    for kind, share in (("mousePressed", 0.25), ("mouseMoved", 0.4), ("mouseReleased", 0.5)):
        tab.send("Input.dispatchMouseEvent", type=kind, x=x + width * share, y=y, button="left", clickCount=1)
    begin, end = map(
        float, tab.run("[...document.querySelectorAll('#find input[type=number]')].map((one) => one.value)")
    )
    assert begin < end
    shown = tab.run(
        "[...document.querySelectorAll('#list tbody tr:not([hidden])')].map((one) => Number(one.cells[3].textContent))"
    )
    assert 0 < len(shown) < count
    assert all(begin <= at <= end for at in shown)
    assert tab.run(said).startswith(f"{len(shown)} of {count} requests, ")

    tab.run("document.querySelector('.dots').scrollIntoView({ block: 'center' })")
    x, y = tab.run(
        "(() => { const box = document.querySelector('.dots circle:not(.drawn)').getBoundingClientRect();"
        " return [box.x + box.width / 2, box.y + box.height / 2]; })()"
    )
    for kind in ("mousePressed", "mouseReleased"):
        tab.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
    near = "document.querySelectorAll('#list tbody tr:not([hidden])').length"
    assert 0 < tab.run(near) < count, "a click on a dot without a timeline lists what came then"


def test_the_verdict_can_be_copied_as_markdown(tab: Page, report: Path) -> None:
    tab.open(report)
    tab.run("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    tab.run("document.querySelector('.copy').click()")
    endpoint = tab.run("document.querySelector('h3').textContent")
    copied = tab.run("window.copied")
    assert copied.startswith("**" + endpoint.replace("_", "\\_"))
    assert "\n- What to change: " in copied
    tab.run("navigator.clipboard.writeText = async () => { throw new Error('no permission'); }")
    tab.run("document.querySelector('.copy').click()")
    assert tab.run("document.querySelector('textarea').value") == copied


def test_without_a_script_the_page_has_the_list_and_no_dead_controls(tab: Page, report: Path) -> None:
    tab.send("Emulation.setScriptExecutionDisabled", value=True)
    try:
        tab.open(report)
        roles = tab.accessible()
    finally:
        tab.send("Emulation.setScriptExecutionDisabled", value=False)
    controls = {"Copy as Markdown", "zoom in", "whole request"}
    assert not any(name in controls or role in {"searchbox", "spinbutton"} for role, name in roles)
    assert any(name.lower() == "what to change" for _, name in roles)
    assert any(role == "columnheader" and name == "ms felt" for role, name in roles)
