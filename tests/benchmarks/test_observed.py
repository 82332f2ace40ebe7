"""The committed table of what is observed where is what this interpreter finds; the rules that make its cells."""

import os
import sys
from pathlib import Path

import pytest

from benchmarks.observed.cells import DISTURBED, UNAVAILABLE, Column, agree, cell, column, columns_of, page
from benchmarks.observed.hiding import PLATFORMS
from benchmarks.observed.program import PROGRAMS, Program
from benchmarks.observed.run import ROOT, column_of
from whywait.analysis.causes import CAUSES, Cause

PAGE = ROOT / "benchmarks" / "results" / "observed.md"
VERSION = "{}.{}".format(*sys.version_info)


@pytest.fixture(scope="module")
def committed() -> dict[str, Column]:
    return {one.title: one for one in columns_of(PAGE.read_text())}


def one_of(committed: dict[str, Column], loop: str) -> Column:
    """Of this series of Python, whatever its last digit."""
    found = [one for title, one in committed.items() if title.startswith(f"{VERSION}.") and title.endswith(loop)]
    if not found:
        pytest.skip(f"the page has no column for Python {VERSION}")
    return found[0]


@pytest.mark.skipif(not sys.platform.startswith("linux") or len(os.sched_getaffinity(0)) < 2, reason="hogs a CPU")
@pytest.mark.parametrize("loop", ["asyncio", "uvloop", *PLATFORMS])
def test_the_page_says_what_is_found_here(loop: str, committed: dict[str, Column]) -> None:
    hidden = loop in PLATFORMS
    said = committed[f"{loop} (untested)"] if hidden else one_of(committed, loop)
    found = column_of(loop, sys.executable, "asyncio" if hidden else loop, loop if hidden else None, said)
    differ = {
        name: (said.cells[name], value) for name, value in found.cells.items() if not agree(said.cells[name], value)
    }
    assert not differ
    assert set(said.cells) == set(found.cells)
    assert found.signals == said.signals
    assert {name for name, named in found.named.items() if named} == {
        name for name, named in said.named.items() if named
    }


def test_every_cause_has_a_program() -> None:
    assert {one.cause for one in PROGRAMS} == {cause.value for cause in CAUSES} - {Cause.UNEXPLAINED.value}
    assert len({one.name for one in PROGRAMS}) == len(PROGRAMS)


LOCK = Program("lock", "lock_wait", lambda _: 0, "keeper", "a note")
MS = 1_000_000


@pytest.mark.parametrize(
    ("amounts", "expected"),
    [
        ({"lock_wait": {"observed": 80 * MS}}, "observed"),
        ({"lock_wait": {"observed": 20 * MS, "sampled": 50 * MS}}, "sampled"),
        ({"lock_wait": {"observed": 30 * MS}, "cpu_wait": {"sampled": 50 * MS}}, "observed"),
        ({"lock_wait": {"observed": 30 * MS}, "unexplained": {"observed": 50 * MS}}, f"{UNAVAILABLE} → unexplained"),
        ({"compute": {"observed": 90 * MS}}, UNAVAILABLE),
        ({"cpu_wait": {"sampled": 75 * MS}}, DISTURBED),
    ],
)
def test_cells(amounts: dict[str, dict[str, int]], expected: str) -> None:
    assert cell(LOCK, {"truth_ns": 80 * MS, "amounts": amounts}) == expected


def test_a_page_can_be_read_back(tmp_path: Path) -> None:
    seen = {"truth_ns": 80 * MS, "amounts": {"lock_wait": {"observed": 80 * MS}}, "culprit": "keeper"}
    poor = {"truth_ns": 80 * MS, "amounts": {"unexplained": {"observed": 80 * MS}}, "culprit": ""}
    columns = [
        column("3.11.7 asyncio", [LOCK], {"signals": ["gc", "loop"], "programs": {"lock": seen}}),
        column("macOS (untested)", [LOCK], {"signals": ["gc"], "programs": {"lock": poor}}),
    ]
    text = page([LOCK], columns, ["a note"])
    assert columns_of(text) == columns
    assert "lock *(a note)*" in text
