"""A damaged installation: each damage is one line that says what to do; others' packages are none."""

import subprocess
import sys
from pathlib import Path

import pytest

import whywait
from whywait.tracer.doctor import Check, State, installation

HOME = Path(whywait.__file__).parent


def damage() -> Check:
    (found,) = installation.installation_checks()
    assert (found.name, found.state) == ("installation", State.NO)
    assert found.remedy
    return found


def test_a_whole_one_is_one_line_with_version_and_place() -> None:
    (found,) = installation.installation_checks()
    assert (found.state, found.found) == (State.YES, f"whywait {whywait.__version__} at {HOME}")


def test_two_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "version", lambda _: "9.9")
    assert damage().found.startswith(f"pip has installed whywait 9.9, but {whywait.__version__} is imported from")


def test_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> str:
        raise installation.PackageNotFoundError(name)

    monkeypatch.setattr(installation, "version", unknown)
    found = damage()
    assert "is not installed" in found.found
    assert "whywait report" in found.means


def test_a_half_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "whywait.analysis", None)
    found = damage()
    assert "whywait.analysis cannot be imported" in found.found
    assert "only run and doctor work" in found.means


def test_a_half_from_another_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "analysis").mkdir()
    (tmp_path / "analysis" / "__init__.py").write_text("")
    for name in [name for name in sys.modules if name.split(".")[:2] == ["whywait", "analysis"]]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(whywait, "__path__", [str(tmp_path), *whywait.__path__])
    assert f"whywait.analysis comes from {tmp_path / 'analysis'} and not from {HOME}" in damage().found


def clone(folder: Path, damaged: str) -> None:
    """A clone in which git wrote one of the links as a text file."""
    (folder / "whywait").mkdir()
    for file in HOME.glob("*.py"):
        (folder / "whywait" / file.name).symlink_to(file)
    for part in ("tracer", "analysis"):
        link = folder / "whywait" / part
        link.write_text(f"../{part}") if part == damaged else link.symlink_to(HOME / part)


@pytest.mark.parametrize("part", ["tracer", "analysis"])
def test_links_that_came_as_text_files(part: str, tmp_path: Path) -> None:
    clone(tmp_path, part)
    done = subprocess.run(
        [sys.executable, "-m", "whywait", "doctor"], cwd=tmp_path, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode in (1, 2)
    assert "Traceback" not in said
    assert f"{tmp_path / 'whywait' / part} is a text file" in said
    assert "core.symlinks" in said


def test_another_distributions_tracer_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tracer", "analysis"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('not ours')")
    monkeypatch.syspath_prepend(tmp_path)
    (found,) = installation.installation_checks()
    assert found.state is State.YES
