"""The page under axe, the accessibility checker: at two widths, light and dark, and in forced colours."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from testbed.chromium import Page
from whywait import analysis
from whywait.analysis.report.html.report import write_html

RECORDING = Path(__file__).resolve().parents[2] / "notebooks" / "recording"


@pytest.fixture(scope="module")
def checker() -> str:
    """The checker's program, as the package brings it."""
    found = find_spec("axe_playwright_python")
    if found is None or found.origin is None:
        pytest.skip("no axe: pip install axe-playwright-python")
    return (Path(found.origin).parent / "axe.min.js").read_text()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("accessible") / "report.html"
    write_html(analysis.analyze(RECORDING / "threaded.jsonl.gz"), path, "threaded", top=4)
    return path


@pytest.mark.parametrize(("width", "dark", "forced"), [(1280, False, False), (390, True, False), (390, False, True)])
def test_a_checker_finds_nothing(tab: Page, report: Path, checker: str, width: int, dark: bool, forced: bool) -> None:
    tab.open(report, dark=dark, forced_colours=forced, width=width)
    assert violations(tab, checker) == []
    assert tab.run("document.documentElement.scrollWidth") <= width


def test_the_checker_finds_what_is_wrong(tab: Page, checker: str, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.html"
    wrong.write_text(
        '<html lang="en"><title>t</title><main><h1>h</h1><p style="color:#ddd;background:#fff">some words</p></main>'
    )
    tab.open(wrong)
    assert [one["id"] for one in violations(tab, checker)] == ["color-contrast"]


def violations(tab: Page, checker: str) -> list[dict[str, Any]]:
    tab.run(f"{checker}; 0")
    told: str = tab.run(
        "axe.run().then((found) => JSON.stringify(found.violations.map((one) => "
        "({id: one.id, impact: one.impact, where: one.nodes[0].html.slice(0, 200)}))))"
    )
    return list(json.loads(told))
