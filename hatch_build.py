"""Builds the native core of the tracer where there is a compiler and Python's headers; else the Python core stays alone.
And lets the README be read where its repository is not, as on PyPI.

python hatch_build.py   builds it in place, as an editable installation does; WHYWAIT_CFLAGS adds flags
WHYWAIT_REPOSITORY      of a release: the address to which the README's links lead, as https://example.org/group/whywait
"""

import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zlib
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
    from hatchling.metadata.plugin.interface import MetadataHookInterface
except ImportError:  # in place, without hatchling
    BuildHookInterface = MetadataHookInterface = object

ROOT = Path(__file__).resolve().parent
PACKAGE = "whywait/tracer/host"
LIBRARIES = ("-lrt",) if sys.platform == "linux" else ()  # timers, before glibc 2.34
FLAGS = ("-std=gnu11", "-O2", "-fPIC", "-shared", "-fno-strict-aliasing", "-fvisibility=hidden")
LINK = re.compile(r"(!?)\[([^]]*)\]\((?![a-z]+://|#)([^)#\s]+)(#[^)\s]*)?\)")
FLAGS += ("-Wall", "-Wextra", "-Wno-deprecated-declarations", "-Wno-missing-field-initializers")


def compiler() -> list[str]:
    """The command of the C compiler; nothing without one."""
    for command in (os.environ.get("CC"), sysconfig.get_config_var("CC"), "cc", "gcc", "clang"):
        words = shlex.split(command or "")
        if words and shutil.which(words[0]):
            return words
    return []


def why_not() -> str:
    """Why the core is not built here; an empty string if it is."""
    if sys.platform != "linux" or platform.python_implementation() != "CPython":
        return "it is for CPython on Linux"
    if not (3, 11) <= sys.version_info[:2] <= (3, 14) or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "it is for CPython 3.11 to 3.14 with a GIL"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return "Python's headers are not installed"
    return "" if compiler() else "there is no C compiler"


def build(folder: Path) -> Path | None:
    """Compile the core into the folder and return its file; None, after one line of why, if that cannot be done."""
    target = folder / f"_core{sysconfig.get_config_var('EXT_SUFFIX')}"
    reason = why_not()
    if not reason:
        made = folder / f".{target.name}.{os.getpid()}"
        headers = f"-I{sysconfig.get_path('include')}"
        sources = sorted((ROOT / PACKAGE / "native").glob("*.[ch]"))
        stamp = f"-DWHYWAIT_SOURCES={zlib.crc32(b''.join(map(Path.read_bytes, sources)))}"
        more = shlex.split(os.environ.get("WHYWAIT_CFLAGS", ""))
        done = subprocess.run(  # noqa: S603
            [
                *compiler(),
                *FLAGS,
                *more,
                stamp,
                headers,
                *(one for one in sources if one.suffix == ".c"),
                "-o",
                made,
                *LIBRARIES,
            ],
            capture_output=True,
            text=True,
        )
        if done.returncode == 0:
            made.replace(target)  # a process may run with the one before
            return target
        made.unlink(missing_ok=True)
        reason = "the compiler failed: " + (done.stderr.strip().splitlines() or ["without a word"])[0]
    print(
        f"whywait: the native core is not built, since {reason}; the Python core does the same, slower", file=sys.stderr
    )
    return None


class CustomBuildHook(BuildHookInterface):  # type: ignore[misc]
    """Called by hatchling for each wheel, editable ones included."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Put the core into the wheel, and its platform into the wheel's name; of an editable one into the sources."""
        if self.target_name != "wheel":
            return
        if version == "editable":
            build(ROOT / PACKAGE)
            return
        self._folder = tempfile.TemporaryDirectory()
        built = build(Path(self._folder.name))
        if built is not None:
            build_data["force_include"][str(built)] = f"{PACKAGE}/{built.name}"
            build_data["pure_python"] = False
            build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """The core is in the wheel."""
        if version != "editable" and self.target_name == "wheel":
            self._folder.cleanup()


def readable(text: str, repository: str, version: str) -> str:
    """The text with the links to its repository's files as absolute ones to those of this version, pictures to what is in
    them; as words where the repository's address is not known."""

    def link(found: re.Match[str]) -> str:
        picture, words, path, part = found.groups(default="")
        if not repository:
            return "" if picture else words if words.strip("`") == path else f"{words} (`{path}`)"
        return f"{picture}[{words}]({repository}/{'raw' if picture else 'blob'}/v{version}/{path}{part})"

    return LINK.sub(link, text)


class CustomMetadataHook(MetadataHookInterface):  # type: ignore[misc]
    """Called by hatchling for each sdist and wheel."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the README and the addresses."""
        repository, version = os.environ.get("WHYWAIT_REPOSITORY", "").rstrip("/"), metadata["version"]
        text = readable((ROOT / "README.md").read_text(encoding="utf-8"), repository, version)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
        pages = {"Repository": "", "Documentation": f"/blob/v{version}/docs/README.md", "Issues": "/issues",
                 "Changelog": f"/blob/v{version}/CHANGELOG.md"}  # fmt: skip
        metadata["urls"] = {name: repository + page for name, page in pages.items() if repository}


if __name__ == "__main__":
    sys.exit(build(ROOT / PACKAGE) is None)
