"""The figures: all of the time is in them, trace content is no markup, and they are read on light and dark."""

import re
from collections.abc import Callable
from itertools import combinations
from math import ceil
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from tests.analysis.fabricate import MS, Culprit, analysis_of, random_analysis
from tests.analysis.report.test_report import hostile_analysis
from whywait import analysis
from whywait.analysis import figures
from whywait.analysis.causes import INFO
from whywait.analysis.figures import tables
from whywait.analysis.figures.look import TEXT
from whywait.analysis.report.colours import COLOURS, contrast, ink

DARK_PAGE, LIGHT_PAGE = "#111111", "#ffffff"  # of a notebook
EVERY: dict[str, Callable[[analysis.Analysis], go.Figure]] = {
    "where": lambda one: figures.where_time_went({"<b>run</b>": one}),
    "collection": figures.collection,
    "timeline": figures.request_timeline,
    "load": lambda one: figures.causes_over_load({"<i>run</i>": one}),
    "culprits": figures.culprits_and_victims,
    "change": lambda one: figures.change(analysis.compare(one, one, 50)),
}


def words_in(value: Any) -> str:
    if isinstance(value, str):
        return value + "\n"
    if isinstance(value, dict):
        return "".join(map(words_in, value.values()))
    if isinstance(value, list | tuple):
        return "".join(map(words_in, value))
    return ""


@pytest.mark.parametrize("name", EVERY)
def test_every_figure_has_a_clear_background_and_grey_words(name: str) -> None:
    layout = EVERY[name](random_analysis(2, 60)).to_plotly_json()["layout"]
    assert layout["paper_bgcolor"] == layout["plot_bgcolor"] == "rgba(0,0,0,0)"
    assert layout["font"]["color"] == TEXT


@pytest.mark.parametrize("name", EVERY)
def test_a_trace_cannot_write_markup(name: str) -> None:
    said = words_in(EVERY[name](hostile_analysis()).to_plotly_json())
    tags = set(re.findall(r"<(/?[a-zA-Z]+)", said))
    assert tags <= {"br", "sup", "/sup", "extra", "/extra"}
    assert not [one for one in ("\x1b", "\x07", "\u202e") if one in said]


def test_words_are_read_on_both_pages() -> None:
    assert min(contrast(TEXT, DARK_PAGE), contrast(TEXT, LIGHT_PAGE)) > 3.9
    for light, dark in COLOURS.values():
        assert min(contrast(ink(light), light), contrast(ink(dark), dark)) >= 4.5


# linear red, green and blue as seen without one kind of cone (Machado, Oliveira, Fernandes 2009, severity 1)
SIGHTS = {
    "all three": np.eye(3),
    "no long": np.array([(0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)]),
    "no middle": np.array([(0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)]),
    "no short": np.array([(1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.3039)]),
}  # fmt: skip
TO_XYZ = np.array([(0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505)])
TOLD_APART = 10.0  # in CIE L*a*b*, side by side; the least that can be seen is about 2.3


def seen(colour: str, sight: str) -> Any:
    """Where in CIE L*a*b* these eyes see the colour."""
    parts = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(SIGHTS[sight] @ linear, 0, 1) / (0.9505, 1, 1.089)
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array((116 * y - 16, 500 * (x - y), 200 * (y - z)))


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("page", [0, 1])
def test_causes_of_one_texture_are_told_apart_by_every_sight(sight: str, page: int) -> None:
    for (one, a), (other, b) in combinations(INFO.items(), 2):
        if a.texture == b.texture:
            apart = np.linalg.norm(seen(a.colours[page], sight) - seen(b.colours[page], sight))
            assert apart >= TOLD_APART, (one, other)


def test_the_bars_hold_all_of_the_percentile_of_each_endpoint() -> None:
    given = random_analysis(3, 80)
    figure = figures.where_time_went({"run": given}, (50, 95))
    sums = {label: sum(bar.x[at] for bar in figure.data) for at, label in enumerate(figure.data[0].y)}
    by_endpoint = given.requests.groupby("endpoint")["wall_ns"].agg(lambda walls: sorted(walls))
    assert len(by_endpoint) > 1
    assert sums == pytest.approx({
        f"run<br>{endpoint}<br>p{one}": walls[ceil(one / 100 * len(walls)) - 1] / 1e6
        for endpoint, walls in by_endpoint.items() for one in (50, 95)
    })  # fmt: skip


def test_a_bar_that_has_room_says_who() -> None:
    given = analysis_of(
        {"GET /a": [{"loop_busy": 90, "compute": 10}] * 3, "GET /b": [{"loop_busy": 5}]},
        culprits={"loop_busy": Culprit("rank", "/srv/app/rank.py", 30)},
    )
    said = {bar.name: (bar.text, bar.customdata) for bar in figures.where_time_went({"run": given}, (50,)).data}
    assert said["loop_busy"] == (("rank", ""), ("90.0 ms by rank", "5.0 ms by rank"))
    assert said["compute"][0] == ("", "")


def test_a_stretch_that_has_room_says_who_and_the_axes_what_they_count() -> None:
    given = analysis_of({"GET /a": [{"loop_busy": 90, "compute": 10}]}, culprits={"loop_busy": Culprit("rank")})
    figure = figures.request_timeline(given)
    assert {text for bar in figure.data for text in bar.text or ()} == {"loop_busy by rank", "compute"}
    assert [axis.title.text for axis in figure.select_yaxes()][1:] == ["threads:<br>GIL", "threads:<br>CPU"]


def test_the_waterfall_goes_from_before_to_after() -> None:
    before, after = random_analysis(4, 60, endpoints=1), random_analysis(5, 60, endpoints=1)
    (step,) = figures.change(analysis.compare(before, after, 50)).data
    assert sum(step.y[:-1]) == pytest.approx(step.y[-1])
    with pytest.raises(analysis.InputError, match="was not compared"):
        figures.change(analysis.compare(before, after, 50), "GET /nowhere")


def test_the_matrix_says_who_held_whom() -> None:
    given = analysis_of(
        {"GET /a": [{"loop_busy": 20}] * 3, "GET /b": [{"loop_busy": 5}]},
        culprits={"loop_busy": Culprit("rank", "/srv/app/rank.py", 30)},
    )
    (matrix,) = figures.culprits_and_victims(given).data
    assert "rank" in matrix.y[0]
    assert "app/rank.py:30" in matrix.y[0]
    assert dict(zip(matrix.x, matrix.z[0], strict=True)) == {"GET /a": 60.0, "GET /b": 5.0}
    assert matrix.text[0][0] == "60.0 ms<br>3 requests"


def test_the_tables_say_it_in_words() -> None:
    slow = analysis_of({"GET /a": [{"pool_queue": 40, "compute": 4}] * 12}, culprits={"pool_queue": Culprit("predict")})
    fast = analysis_of({"GET /a": [{"compute": 4}] * 12})
    (row,) = tables.verdicts({"slow": slow}).data.to_dict("records")
    assert row["p50 ms"] == 44
    assert "predict" in row["who"]
    (row,) = tables.changes(analysis.compare(slow, fast, 50)).data.to_dict("records")
    assert "faster" in row["change"]
    assert slow.requests["wall_ns"].iloc[0] == 44 * MS
    timed = tables.timers(random_analysis(3, 80)).data.columns.get_level_values(0)
    assert {name.split()[0] for name in timed} == {"ms"}


def test_a_trace_cannot_write_markup_into_a_table() -> None:
    given = hostile_analysis()
    compared = analysis.compare(given, given, 50)
    for table in (tables.verdicts({"<b>run</b>": given}), tables.timers(given), tables.changes(compared)):
        text = table.to_html()
        assert "<script>" not in text
        assert "<b>run" not in text
        assert "\x1b" not in text
        assert "\u202e" not in text
