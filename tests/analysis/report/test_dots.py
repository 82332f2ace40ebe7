"""Each request as a dot over time, and the line of code of whoever caused the wait."""

import os
import re
import time
from pathlib import Path

import pytest

from tests.analysis.fabricate import Culprit, analysis_of
from whywait.analysis.report.code_line import code_line
from whywait.analysis.report.html.dots import MOST_DOTS, strips, when
from whywait.analysis.report.html.report import page

NS_PER_S = 1_000_000_000


def test_a_dot_tells_when_how_long_and_the_chief_cause() -> None:
    given = analysis_of({"GET /a": [{"compute": 10}, {"compute": 10, "gil_wait": 30}, {"lock_wait": 20}]})
    strip = strips(given)["GET /a"]
    assert [(dot.left, dot.top, dot.cause) for dot in strip.dots] == [
        (0, 75, "compute"), (50, 0, "gil_wait"), (100, 50, "lock_wait"),
    ]  # fmt: skip
    assert (strip.counted, strip.highest_ms, strip.lasted) == ("3 requests", "40.0", "2.0 s")


def test_of_many_the_slowest_of_each_moment_are_drawn_and_the_page_says_so() -> None:
    given = analysis_of({"GET /a": [{"compute": 900 if number == 1234 else 1} for number in range(3 * MOST_DOTS)]})
    strip = strips(given)["GET /a"]
    assert len(strip.dots) <= MOST_DOTS
    assert min(dot.top for dot in strip.dots) == 0  # the slowest is there
    text = page(given, "report", top=1)
    assert f"({len(strip.dots)} of 3,000 requests: the slowest of each moment)" in text
    assert text.count("<circle") == len(strip.dots)


def test_a_dot_leads_to_the_timeline_of_its_request_where_there_is_one() -> None:
    text = page(analysis_of({"GET /a": [{"compute": 10 + ms} for ms in range(5)]}), "report", top=2)
    rings = re.findall(r'<a href="#r(\w+)"><title>', text)
    assert set(rings) == set(re.findall(r'<details class="card request" id="r(\w+)"', text))
    assert len(rings) == 2


def test_the_header_says_when() -> None:
    given = analysis_of({"GET /a": [{"compute": 500}, {"compute": 500}]})
    at = given.requests.assign(start_ns=given.requests["start_ns"] - given.requests["start_ns"].min())
    assert when(at.assign(end_ns=at["start_ns"] + NS_PER_S)) == "1970-01-01 00:00:00 UTC, 2.0 s"
    assert when(at.assign(start_ns=2**63 - 1)).startswith("2262-04-11 ")
    assert when(at.head(0)) == ""


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "app.py"
    file.write_text("import time\n\n    time.sleep(0.2)  # <b>\n")
    return file


def test_the_culprits_line_is_shown_under_its_name_unless_it_is_not_wanted(source: Path) -> None:
    given = analysis_of({"GET /a": [{"loop_busy": 30}]}, culprits={"loop_busy": Culprit("naps", str(source), 3)})
    os.utime(source, (0, 0))
    shown = '<code class="code">time.sleep(0.2)  # &lt;b&gt;</code>'
    assert shown in page(given, "report")
    assert shown not in page(given, "report", code=False)


def test_only_code_as_it_was_and_of_the_service_is_read(source: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    now = time.time_ns() + NS_PER_S
    secret = tmp_path_factory.mktemp("elsewhere") / "keys.py"
    secret.write_text("KEY = 1\n")
    link = source.parent / "link.py"
    link.symlink_to(secret)
    (source.parent / "notes.txt").write_text("private\n")
    assert code_line(str(source), 3, now) == "time.sleep(0.2)  # <b>"
    assert code_line(str(source), 3, 0) == ""  # changed since
    for file, line in [
        (source, 99), (source, 0), (source, None), (secret, 1), (link, 1), (source.parent / "notes.txt", 1),
        (source.parent / "missing.py", 1), ("<string>", 1), ("\0.py", 1), ("/dev/stdin", 1),
    ]:  # fmt: skip
        assert code_line(str(file), line, now) == ""


def test_a_password_in_that_line_is_not_shown(source: Path) -> None:
    source.write_text('pool = connect("postgresql://app:hunter2@db/shop", password="hunter2")\n')
    assert code_line(str(source), 1, time.time_ns() + NS_PER_S) == (
        'pool = connect("postgresql://db/shop", password=[redacted])'
    )
