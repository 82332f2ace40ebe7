"""The view goes into any terminal, and what is left out last is who waits for what, and for whom."""

import io

import pytest
from rich.console import Console

from tests.analysis.live.test_window import request
from whywait.analysis.causes import Cause
from whywait.analysis.live.window import View, Window
from whywait.analysis.report.terminal.live import Size, Told, screen
from whywait.analysis.verdicts.remedies import remedy

TOLD = Told("traces", {}, "", 1, "q ends", "12:00:00")


def seen(endpoints: int) -> View:
    window = Window(10)
    requests = [request(f"GET /endpoint/number/{number}", 20 + number) for number in range(endpoints)]
    window.add(2.0, requests)
    return window.view()


def lines(view: View, size: Size) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=size.columns, force_terminal=False).print(screen(view, TOLD, size))
    return out.getvalue().rstrip("\n").split("\n")


@pytest.mark.parametrize("endpoints", [1, 2, 9])
@pytest.mark.parametrize(
    ("columns", "height"), [(40, 10), (20, 6), (80, 24), (80, 15), (200, 60), (110, 24), (300, 10)]
)
def test_it_fits_and_names_cause_and_culprit(columns: int, height: int, endpoints: int) -> None:
    told = lines(seen(endpoints), Size(columns, height))
    assert len(told) <= height
    assert max(map(len, told)) <= columns
    assert any(line.lstrip().startswith("GET /endpoint") for line in told)
    assert any("gil_wait" in line or "compute" in line for line in told)
    if columns >= 80:
        assert any("50%  by spin (srv/app.py:9)" in line for line in told)
    if endpoints == 9 and height <= 24:
        assert told[-1].endswith("more endpoints")


def test_paper_holds_all_whatever_its_width() -> None:
    view = seen(9)
    for columns in (60, 118):
        told = " ".join(lines(view, Size(columns, None)))
        for number in range(9):
            assert f"GET /endpoint/number/{number}" in told
        assert "more endpoints" not in told
        assert remedy(Cause.GIL_WAIT).text in " ".join(told.split())  # of the one table


def test_a_waiting_screen_says_for_what() -> None:
    (_, said) = lines(Window(10).view(), Size(120, 24))
    assert said.startswith("waiting: no request yet")
    assert "after they end" in said
