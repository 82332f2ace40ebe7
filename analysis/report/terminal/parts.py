"""What the outputs in a terminal share: columns, and notes about the data."""

from collections.abc import Iterable, Iterator

from rich.table import Column
from rich.text import Text

from whywait.analysis.model import Finding
from whywait.analysis.text import counted, safe


def number(name: str) -> Column:
    """Return a column of numbers."""
    return Column(Text(name), justify="right", no_wrap=True)


def folded(name: str) -> Column:
    """Return a column of texts of any length."""
    return Column(name, overflow="fold")


def notes(findings: Iterable[Finding], source: str = "") -> Iterator[Text]:
    """Yield a line for each finding about the data."""
    for one in findings:
        yield Text(f"note: {safe(source)}{safe(one.message)} ({counted(one.count, 'time')})", style="yellow")
