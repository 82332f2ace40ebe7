"""Builds the documentation as a site: `python docs/build.py [--out FOLDER] [--sources URL]`; it needs zensical.

The pages stay where they are read in the repository; here they are laid out for the builder, which ends with 1 when a
link between them leads nowhere. A link to a file that is no page leads to `URL/path`, or where there is no URL becomes
the path as text.
"""

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
PAGES: Final = ("*.md", "docs/**/*.md", "benchmarks/results/*.md", "demo_service/story_logs/*.md")
BESIDE: Final = ("benchmarks/results/*.svg", "benchmarks/results/pictures/*", "docs/site.*")
_LINK: Final = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")


def main() -> int:
    """Build the site. Return 0, or the builder's exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("site"), help="the folder of the site; it is replaced")
    parser.add_argument("--sources", default="", metavar="URL", help="where the repository's files can be read")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        _lay_out(Path(folder), options.sources.rstrip("/"))
        done = subprocess.run([sys.executable, "-m", "zensical", "build", "--strict"], cwd=folder, check=False)
        if done.returncode == 0:
            shutil.rmtree(options.out, ignore_errors=True)
            shutil.copytree(Path(folder, "site"), options.out)
    return done.returncode


def _lay_out(folder: Path, sources: str) -> None:
    shutil.copy(ROOT / "docs/zensical.toml", folder)
    pages = {path for pattern in PAGES for path in ROOT.glob(pattern)}
    for path in (*pages, *(path for pattern in BESIDE for path in ROOT.glob(pattern))):
        target = folder / "pages" / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path in pages:
            target.write_text(_with_links(path, pages, sources))
        else:
            shutil.copy(path, target)


def _with_links(page: Path, pages: set[Path], sources: str) -> str:
    def link(found: re.Match[str]) -> str:
        text, path = found[1], (page.parent / found[2]).resolve()
        if "://" in found[2] or path in pages or path.suffix in {".svg", ".png"}:
            return found[0]
        where = path.relative_to(ROOT).as_posix()
        if sources:
            return f"[{text}]({sources}/{where})"
        return text if text.strip("`") == where else f"{text} (`{where}`)"

    return _LINK.sub(link, page.read_text())


if __name__ == "__main__":
    sys.exit(main())
