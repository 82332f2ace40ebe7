"""The interpreters a run was given: what each ships, and an environment of its own for each."""

import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.host_suites.suite_run import Suite
from benchmarks.host_suites.suites import CPYTHON, SHIPPED, Shipped

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache" / "host"
_TELL = "import sys, test; print('%d.%d.%d' % sys.version_info[:3]); print(list(test.__path__)[0])"


@dataclass(frozen=True)
class Interpreter:
    """One Python with a `test` package."""

    command: str
    version: str
    tests: Path

    @property
    def series(self) -> str:
        """Such as 3.11."""
        return self.version.rpartition(".")[0]


def find(command: str) -> Interpreter | str:
    """The interpreter, or why it is skipped."""
    path = shutil.which(command)
    if path is None:
        return f"{command}: absent"
    told = subprocess.run([path, "-c", _TELL], capture_output=True, text=True)
    if told.returncode != 0:
        return f"{command}: ships no `test` package"
    version, tests = told.stdout.splitlines()
    return Interpreter(path, version, Path(tests))


def cpython_suites(
    one: Interpreter, all_of_them: list[Interpreter], extra: list[Path]
) -> tuple[list[Suite], list[str]]:
    """CPython's suites for one interpreter, and those that could not be had.

    A module that it does not ship (distributions strip some) is borrowed: from a `test` folder given for
    its series, else from the interpreter nearest to it.
    """
    lenders = [("a folder given for it", folder) for folder in extra if f"python{one.series}" in folder.parts]
    others = [two for two in all_of_them if two is not one]
    near = sorted(others, key=lambda two: abs(_minor(two) - _minor(one)))
    lenders += [(two.version, two.tests) for two in near]
    suites: list[Suite] = []
    missing: list[str] = []
    for name in CPYTHON:
        own = modules_in(one.tests, name)
        if own:
            suites += [Suite(module) for module in own]
            continue
        for lender, folder in lenders:
            if found := modules_in(folder, name):
                suites += [Suite(module, str(folder), lender) for module in found]
                break
        else:
            missing.append(name)
    return suites, missing


def modules_in(tests: Path, name: str) -> list[str]:
    """The test modules behind a name: itself, or those inside the package; none if it is not there."""
    if (tests / f"{name}.py").exists():
        return [name]
    return [f"{name}.{path.stem}" for path in sorted((tests / name).glob("test_*.py"))]


def _minor(one: Interpreter) -> int:
    return int(one.version.split(".")[1])


def environment(one: Interpreter) -> Path:
    """The Python of a virtual environment with whywait and what the suites need; made on first use."""
    folder = CACHE / f"venv-{one.version}"
    python = folder / "bin" / "python"
    wanted = [need for shipped in SHIPPED for need in (f"{shipped.name}=={shipped.version}", *shipped.needs)]
    stamp = folder / ".installed"
    project = (ROOT / "pyproject.toml").read_text()
    if not stamp.exists() or stamp.read_text() != project + "\n".join(wanted):
        print(f"==> making {folder.relative_to(ROOT)}", flush=True)
        subprocess.run([one.command, "-m", "venv", "--clear", str(folder)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, "pip>=25.1"], check=True)  # which knows dependency groups
        group = ["--group", f"{ROOT / 'pyproject.toml'}:test"]
        subprocess.run([*install, "--editable", f"{ROOT}[demo-cpu]", *group, *wanted], check=True)
        stamp.write_text(project + "\n".join(wanted))
    return python


def source_of(shipped: Shipped, python: Path) -> Path:
    """The unpacked source distribution of a library, downloaded once into the cache."""
    folder = CACHE / f"{shipped.name}-{shipped.version}"
    if not folder.exists():
        print(f"==> fetching the sources of {shipped.name} {shipped.version}", flush=True)
        download = [str(python), "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        download += ["--no-binary", ":all:", "--dest", str(CACHE), f"{shipped.name}=={shipped.version}"]
        subprocess.run(download, check=True)
        archive = next(CACHE.glob(f"{shipped.name}-{shipped.version}.tar.gz"))
        with tarfile.open(archive) as opened:
            opened.extractall(CACHE, filter="data")
    return folder
