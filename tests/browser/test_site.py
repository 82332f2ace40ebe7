"""The documentation as a site, under axe: its theme is another's, docs/site.js and site.css mend it."""

import subprocess
import sys
from pathlib import Path

import pytest

from testbed.chromium import Page
from tests.browser.test_accessibility import checker, violations

ROOT = Path(__file__).resolve().parents[2]
__all__ = ["checker"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("zensical")
    out = tmp_path_factory.mktemp("docs") / "site"
    subprocess.run([sys.executable, "docs/build.py", "--out", out], cwd=ROOT, check=True, capture_output=True)
    return out


@pytest.mark.parametrize(("width", "dark", "forced"), [(1280, False, False), (390, True, False), (390, False, True)])
@pytest.mark.parametrize("name", [".", "docs/reference/command-line", "benchmarks/results/street"])
def test_a_checker_finds_nothing_serious(
    tab: Page, site: Path, checker: str, name: str, width: int, dark: bool, forced: bool
) -> None:
    tab.open(site / name / "index.html", dark=dark, forced_colours=forced, width=width)
    tab.run("new Promise((done) => setTimeout(done, 300))")  # the theme arranges the page after it is loaded
    serious = [one for one in violations(tab, checker) if one["impact"] in ("serious", "critical")]
    assert serious == []
    assert tab.run("document.documentElement.scrollWidth") <= width


def test_it_follows_the_colours_of_the_system(tab: Page, site: Path) -> None:
    for dark in (False, True, False):
        tab.open(site / "index.html", dark=dark)
        assert (tab.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)") is not dark
