"""What the benchmarks share: the command line of those in turns, and the line that says on which machine they ran."""

import argparse
import os
import platform
from collections.abc import Callable
from pathlib import Path


def run(description: str | None, page: Callable[[int, int], str], *, turns: int, block: int) -> None:
    """Prints what `page(turns, block)` returns, and writes it where --out says. The figures are defaults."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=turns)
    parser.add_argument("--block", type=int, default=block, help="requests of one variant in one turn")
    takes_out(parser)
    options = parser.parse_args()
    publish(page(options.turns, options.block), options.out)


def takes_out(parser: argparse.ArgumentParser) -> None:
    """Add --out, the page's file."""
    parser.add_argument("--out", type=Path, default=None, help="a Markdown file to write as well")


def publish(text: str, out: Path | None) -> None:
    """Print a page, and write it where --out says."""
    print(text)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text + "\n")


def machine() -> str:
    """Return a page's line about the machine."""
    return (
        f"- Python {platform.python_version()}, {os.cpu_count()} CPUs, {platform.machine()}, {platform.system()} "
        f"{platform.release()}"
    )


def machine_and_load() -> str:
    """Return the same, with what else ran on it."""
    return f"{machine()}; load average of the machine at the end, with all else that ran on it {os.getloadavg()[0]:.1f}"
