"""Links from places in the code to their files, for terminals that follow them (OSC 8)."""

import re
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from rich.console import Console
from rich.text import Text

from whywait.analysis.model import Analysis
from whywait.analysis.report.code_line import code_line
from whywait.analysis.text import place, safe


def linked_in(console: Console, analysis: Analysis) -> Callable[[Text], Text]:
    """Return what adds links to a text: on a terminal that has colours, at culprits' places whose files are there as
    they ran. Nothing else gets one: not a pipe, even with colours forced."""
    if console.color_system is None or not console.file.isatty():
        return lambda text: text
    rows = analysis.culprits.drop_duplicates(["culprit_file", "culprit_line"])
    places = zip(rows["culprit_file"], rows["culprit_line"], strict=True)
    found = {safe(place(*one)): one for one in places if place(*one)}
    known = re.compile(rf"(?<![\w./-])(?:{'|'.join(map(re.escape, found)) or '(?!)'})(?!\d)")
    traced_ns = int(analysis.requests["end_ns"].max())

    def linked(text: Text) -> Text:
        for match in known.finditer(text.plain):
            file, line = found[match[0]]
            if code_line(file, line, traced_ns):
                text.stylize(f"link file://{socket.gethostname()}{quote(str(Path(file).resolve()))}", *match.span())
        return text

    return linked
