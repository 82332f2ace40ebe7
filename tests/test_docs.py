"""What the documents link to is there: a file that moves takes its mentions along."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from whywait import commands

ROOT = Path(__file__).parent.parent
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_linked_is_there(page: Path) -> None:
    linked = {one for one in LINK.findall(page.read_text()) if "://" not in one}
    assert {one for one in linked if not (page.parent / one).exists()} == set()


def test_each_place_to_change_something_is_one_file_or_folder() -> None:
    table = (ROOT / "CONTRIBUTING.md").read_text().split("| to change | edit |")[1].split("\n\n")[0]
    rows = table.strip().splitlines()[1:]
    assert len(rows) == 10
    assert all(len(LINK.findall(row)) == 1 for row in rows)


def test_each_room_has_its_row_and_its_tests() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    for package in ("tracer", "analysis"):
        rooms = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}
        rows = re.findall(rf"^\| \[(\w+)\]\(\.\./{package}/.*\| tests: .*\|$", text, re.MULTILINE)
        assert set(rows) == rooms


def test_the_manifest_for_kubernetes_runs_commands_that_exist() -> None:
    pod = yaml.safe_load((ROOT / "docs/how-to/kubernetes.yaml").read_text())["spec"]["template"]["spec"]
    said = [one["command"][:2] for one in pod["containers"]]
    assert said == [["whywait", "run"], ["whywait", "metrics"]]
    assert {word for _, word in said} <= {*commands.BASE, *commands.ANALYSIS}
    mounted = {mount["name"] for one in pod["containers"] for mount in one["volumeMounts"]}
    assert mounted == {one["name"] for one in pod["volumes"]}


def test_each_variable_of_the_configuration_is_in_its_page() -> None:
    read = set(re.findall(r"WHYWAIT_\w+", (ROOT / "tracer/config.py").read_text())) - {"WHYWAIT_AUTOSTART"}
    page = (ROOT / "docs/reference/configuration.md").read_text()
    assert len(read) > 10
    assert {name for name in read if name not in page} == set()


def test_the_site_is_built_and_each_page_is_in_it(tmp_path: Path) -> None:
    pytest.importorskip("zensical")
    command = [sys.executable, "docs/build.py", "--out", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    menu = set(re.findall(r'"([\w/.-]+\.md)"', (ROOT / "docs/zensical.toml").read_text()))
    assert {str(page.relative_to(ROOT)) for page in PAGES} - menu - _linked_from_pages() == set()
    assert "<h1" in (tmp_path / "site/docs/tutorial/first-report/index.html").read_text()


def _linked_from_pages() -> set[str]:
    ends = ((page.parent / path).resolve() for page in PAGES for path in LINK.findall(page.read_text()))
    return {str(end.relative_to(ROOT)) for end in ends if end.is_relative_to(ROOT)}
