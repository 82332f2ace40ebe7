"""What the documents link to is there: a file that moves takes its mentions along."""

import re
from pathlib import Path

import pytest

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
