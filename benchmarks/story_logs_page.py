"""Writes demo_service/story_logs/README.md anew: every console block holds what its command prints today.

python -m benchmarks.story_logs_page
"""

import io
import os
import re
from contextlib import redirect_stdout
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parents[1] / "demo_service" / "story_logs"
PAGE: Final = FOLDER / "README.md"
_BLOCK: Final = re.compile(r"```console\n\$ whywait (?P<words>[^\n]*)\n.*?```\n", re.DOTALL)


def rewritten(text: str) -> str:
    """The page with the commands' output of today; they run in the repository's root."""
    return _BLOCK.sub(lambda found: f"```console\n$ whywait {found['words']}\n{_output(found['words'])}```\n", text)


def _output(words: str) -> str:
    from whywait.analysis.cli import main

    said = io.StringIO()
    with redirect_stdout(said):
        main(words.split())
    return "".join(f"{line.rstrip()}\n" for line in said.getvalue().strip("\n").split("\n"))


def main() -> None:
    os.environ["NO_COLOR"] = "1"
    os.chdir(FOLDER.parents[1])
    PAGE.write_text(rewritten(PAGE.read_text()))


if __name__ == "__main__":
    main()
