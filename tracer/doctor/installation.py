"""Checks whywait's own installation: both halves, from one folder, in the version that pip reports."""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import whywait
from whywait.tracer.doctor.check import Check, no, yes

_PARTS: Final = {"tracer": "nothing is traced", "analysis": "no trace can be read: only run and doctor work"}
_REINSTALL: Final = "reinstall: pip install --force-reinstall whywait"


def installation_checks() -> list[Check]:
    """Return one line if the installation is complete, else one line per damage."""
    home = Path(whywait.__file__).parent
    found = [damage for part, means in _PARTS.items() for damage in _damage(home, part, means)]
    found += _version_damage(home)
    return found or [yes("installation", f"whywait {whywait.__version__} at {home}")]


def _damage(home: Path, part: str, means: str) -> list[Check]:
    name, path = f"whywait.{part}", home / part
    if path.is_file():
        return [
            no(
                "installation", f"{path} is a text file and not a link: git checked it out on a system without links",
                means, "git config core.symlinks true && git checkout whywait, or install the wheel",
            )
        ]  # fmt: skip
    try:
        spec = find_spec(name)
        import_module(name)
    except Exception as error:
        return [no("installation", f"{name} cannot be imported: {error!r}", means, _REINSTALL)]
    origin = Path(spec.origin) if spec is not None and spec.origin else Path()
    if origin.parent != path:
        return [no("installation", f"{name} comes from {origin.parent} and not from {home}", means, _REINSTALL)]
    return []


def _version_damage(home: Path) -> list[Check]:
    try:
        installed = version("whywait")
    except PackageNotFoundError:
        return [
            no(
                "installation", f"whywait is imported from {home} and is not installed there",
                "`whywait report` and the other commands, opentelemetry-instrument and third-party probes are not found",
                "pip install whywait, or pip install -e . in the clone",
            )
        ]  # fmt: skip
    if installed == whywait.__version__:
        return []
    return [
        no(
            "installation", f"pip has installed whywait {installed}, but {whywait.__version__} is imported from {home}",
            "commands and the service may run different versions", _REINSTALL,
        )
    ]  # fmt: skip
