"""The wheel, installed beside modules that are called like our folders: all run unharmed, and are traced.

built      the sources, by way of an sdist: a wheel
installed  an environment with that wheel and with another distribution whose module is called `tracer`
"""

import json
import os
import signal
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from testbed.service import free_port, get, wait_until_up
from tests.tracer.conftest import Span, read

ROOT = Path(__file__).parent.parent

APP = """
from fastapi import FastAPI
import whywait
import {modules}

app = FastAPI()

@app.get("/idle")
def idle():
    return {{}}

@app.get("/")
async def home():
    with whywait.phase("predict"):
        return [{names}, whywait.__file__]
"""


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=120, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def hatch(kind: str, sources: Path, target: Path) -> Path:
    run(sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", target, cwd=sources)
    (built,) = target.glob("whywait-*")
    return built


def modules_of(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that the sdist builds: what an installation from PyPI's sources gets."""
    folder = tmp_path_factory.mktemp("built")
    with tarfile.open(hatch("sdist", ROOT, folder / "sdist")) as archive:
        archive.extractall(folder, filter="data")
    (sources,) = folder.glob("whywait-*")
    return hatch("wheel", sources, folder / "wheel")


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of a fresh environment: whywait from the wheel, all else from the environment of the tests."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, symlinks=True, with_pip=False)
    python = home / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index")
    run(*pip, built, other_distribution(home), cwd=home)
    (packages,) = home.glob("lib/python*/site-packages")
    # a plain line: the .pth files of that folder are not followed, so that our editable install stays out
    (packages / "tests.pth").write_text(sysconfig.get_path("purelib") + "\n")
    uvicorn = home / "bin" / "uvicorn"
    uvicorn.write_text(f"#!{python}\nfrom uvicorn.main import main\nmain()\n")
    uvicorn.chmod(0o755)
    return home / "bin"


def other_distribution(folder: Path) -> Path:
    """A wheel with a top-level `tracer`, as PyPI has some."""
    name = "othertracer-1.0"
    files = {
        "tracer.py": "MINE = 'othertracer'\n",
        f"{name}.dist-info/METADATA": "Metadata-Version: 2.1\nName: othertracer\nVersion: 1.0\n",
        f"{name}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    wheel = folder / f"{name}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
        archive.writestr(
            f"{name}.dist-info/RECORD", "".join(f"{path},,\n" for path in (*files, f"{name}.dist-info/RECORD"))
        )
    return wheel


def test_the_wheel_holds_one_name(built: Path) -> None:
    assert {name.split("/")[0] for name in modules_of(built)} == {"whywait"}


def test_the_wheel_of_the_sdist_is_the_wheel_of_the_tree(built: Path, tmp_path: Path) -> None:
    assert modules_of(built) == modules_of(hatch("wheel", ROOT, tmp_path))
    sources = {
        f"whywait/{path.relative_to(ROOT)}"
        for folder in ("tracer", "analysis")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert sources <= modules_of(built)


def test_the_image_installs_the_same_wheel(built: Path, tmp_path: Path) -> None:
    """What the Dockerfile copies before it installs, copied as COPY copies: links stay links."""
    recipe = (ROOT / "demo_service" / "Dockerfile").read_text().split("RUN ")[0]
    copied = [word for line in recipe.splitlines() if line.startswith("COPY ") for word in line.split()[1:-1]]
    for one in copied:
        run("cp", "-a", ROOT / one, tmp_path / one, cwd=ROOT)
    allowed = (ROOT / "demo_service" / "Dockerfile.dockerignore").read_text().splitlines()
    assert {f"!{one}" for one in (*copied, "demo_service")} <= set(allowed)
    assert modules_of(hatch("wheel", tmp_path, tmp_path / "wheel")) == modules_of(built)


def test_importing_gives_the_public_words_and_loads_next_to_nothing(installed: Path, tmp_path: Path) -> None:
    code = """
import json, sys
before = set(sys.modules)
import whywait
new = set(sys.modules) - before
from whywait import analysis
heavy = {"opentelemetry.sdk", "pandas", "numpy", "pyarrow", "plotly", "typer"} & set(sys.modules)
words = [getattr(whywait, name).__name__ for name in ("start", "stop", "traced", "phase", "adapters")]
print(json.dumps([sorted(new), sorted(heavy), words, whywait.is_active()]))
"""
    new, heavy, words, active = json.loads(run(installed / "python", "-c", code, cwd=tmp_path))
    assert {name for name in new if name.split(".")[0] not in sys.stdlib_module_names} == {"whywait"}
    assert heavy == []
    assert words == ["start", "stop", "traced", "phase", "whywait.tracer.adapters"]
    assert not active


@contextmanager
def served(bin_: Path, folder: Path, output: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """`whywait run -- uvicorn app:app`, as a user types it."""
    port = free_port()
    command: list[str | Path] = [
        bin_ / "whywait", "run", "--output", output, "--", "uvicorn", "app:app",
        "--port", str(port), "--log-level", "warning",
    ]  # fmt: skip
    environment = {**os.environ, "PATH": f"{bin_}:{os.environ['PATH']}", **environment}
    process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_up(process, url)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


def write_service(folder: Path, modules: tuple[str, ...]) -> None:
    names = ", ".join(f"{module}.MINE" for module in modules)
    (folder / "app.py").write_text(APP.format(modules=", ".join(modules), names=names))


def write_own_modules(folder: Path) -> tuple[str, ...]:
    (folder / "tracer.py").write_text("MINE = 'own tracer'\n")
    for package in ("analysis", "demo_service"):
        (folder / package).mkdir()
        (folder / package / "__init__.py").write_text(f"MINE = 'own {package}'\n")
    return ("tracer", "analysis", "demo_service")


def server_spans(output: Path) -> list[Span]:
    spans = [span for file in output.glob("*.jsonl") for span in read(file)]
    (home,) = (span for span in spans if span.name == "GET /" and span.kind == 2)
    return [span for span in spans if span.trace_id == home.trace_id]


@pytest.mark.parametrize("environment", [{}, {"PYTHONPATH": "."}], ids=["plain", "PYTHONPATH"])
def test_a_service_with_modules_of_our_names(installed: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    service = tmp_path / "service"
    service.mkdir()
    write_service(service, write_own_modules(service))
    with served(installed, service, tmp_path / "traces", environment) as url:
        *mine, ours = json.loads(get(f"{url}/"))
    assert mine == ["own tracer", "own analysis", "own demo_service"]
    assert Path(ours).is_relative_to(installed.parent)
    assert "predict" in {span.name for span in server_spans(tmp_path / "traces")}


def test_a_service_with_another_distributions_tracer(installed: Path, tmp_path: Path) -> None:
    service = tmp_path / "service"
    service.mkdir()
    write_service(service, ("tracer",))
    with served(installed, service, tmp_path / "traces", {}) as url:
        mine, ours = json.loads(get(f"{url}/"))
    assert mine == "othertracer"
    assert Path(ours).is_relative_to(installed.parent)
    assert "predict" in {span.name for span in server_spans(tmp_path / "traces")}


def test_the_demo_is_not_installed(installed: Path, tmp_path: Path) -> None:
    run(installed / "python", "-c", "import whywait.tracer.session", cwd=tmp_path)
    found = "import importlib.util, sys; sys.exit(importlib.util.find_spec('demo_service') is not None)"
    run(installed / "python", "-c", found, cwd=tmp_path)
