"""The wheel, installed beside modules that are called like our folders: all run unharmed, and are traced.

built      the sources, by way of an sdist: a wheel
installed  an environment with that wheel and with another distribution whose module is called `tracer`
base       an environment with that wheel, what it requires without extras, and uvicorn: no pandas, no typer
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import hatch_build
from testbed.service import free_port, get, wait_until_up
from tests.tracer.conftest import Span, read
from whywait import __version__, commands

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


def hatch(kind: str, sources: Path, target: Path, **environment: str) -> Path:
    run(sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", target, cwd=sources, **environment)
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


@pytest.mark.parametrize("repository", ["", "https://example.org/group/whywait"])
def test_the_readme_reads_where_its_repository_is_not(repository: str, tmp_path: Path) -> None:
    environment = {"WHYWAIT_REPOSITORY": repository, "CC": "/bin/false"}
    with zipfile.ZipFile(hatch("wheel", ROOT, tmp_path, **environment)) as archive:
        said = archive.read(f"whywait-{__version__}.dist-info/METADATA").decode()
    assert ("Project-URL: Repository, https://example.org/group/whywait" in said) == bool(repository)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    local = [found for found in re.findall(r"(!?)\[[^]]*\]\(([^)]+)\)", text) if "://" not in found[1]]
    ends = re.findall(r"\]\(([^)]+)\)", said)
    assert len(local) > 20
    assert all(one.startswith("https://") for one in ends)
    for picture, path in local if repository else ():
        assert f"{repository}/{'raw' if picture else 'blob'}/v{__version__}/{path}" in ends
    assert all(name.partition("#")[0] in said for picture, name in local if not picture)


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


def required(names: Iterable[str]) -> dict[str, Distribution]:
    """The distributions of these names and all that they require, with the extras named and no others, as installed
    for the tests."""
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, str]] = set()
    ahead = [(canonicalize_name(one.name), extra) for one in map(Requirement, names) for extra in ("", *one.extras)]
    while ahead:
        name, extra = ahead.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        found[name] = distribution(name)
        needs = map(Requirement, found[name].requires or ())
        ahead += [
            (canonicalize_name(one.name), more)
            for one in needs
            if one.marker is None or one.marker.evaluate({"extra": extra})
            for more in ("", *one.extras)
        ]
    return found


@pytest.fixture(scope="module")
def base(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of a fresh environment for `pip install whywait`, beside a service that has uvicorn."""
    return environment_of(built, tmp_path_factory.mktemp("base"), "whywait", "uvicorn")


@pytest.fixture(scope="module")
def complete(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for `pip install 'whywait[analysis]'`."""
    return environment_of(built, tmp_path_factory.mktemp("complete"), "whywait[analysis]", "uvicorn")


def environment_of(built: Path, home: Path, *names: str) -> Path:
    venv.create(home, symlinks=True, with_pip=False)
    (packages,) = home.glob("lib/python*/site-packages")
    needed = required(names)
    del needed["whywait"]
    for path in (path for one in needed.values() for path in one.files or ()):
        if ".." not in path.parts and path.suffix != ".pyc":  # scripts; compiled files
            (packages / path).parent.mkdir(parents=True, exist_ok=True)
            (packages / path).symlink_to(path.locate())
    pip = (sys.executable, "-m", "pip", "--python", home / "bin" / "python", "install", "--quiet")
    run(*pip, "--no-index", "--no-deps", built, cwd=home)
    run(*pip[:-2], "check", cwd=home)
    return home / "bin"


def said_by(bin_: Path, folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What a command says, typed in a shell without this checkout in sight."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [bin_ / words[0], *words[1:]], cwd=folder, capture_output=True, text=True, timeout=120,
        env={**clean, "PATH": f"{bin_}:{os.environ['PATH']}", **environment},
    )  # fmt: skip


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
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".so"  # of other versions
    }
    assert sources <= modules_of(built)


def test_a_wheel_with_the_native_core_is_one_of_its_platform(built: Path) -> None:
    native = [name for name in modules_of(built) if name.endswith(".so")]
    assert (native == []) == built.name.endswith("-py3-none-any.whl")
    if not hatch_build.why_not():
        assert native == [f"whywait/tracer/host/_core{sysconfig.get_config_var('EXT_SUFFIX')}"]


def test_without_a_compiler_the_wheel_is_pure(tmp_path: Path) -> None:
    built = hatch("wheel", ROOT, tmp_path, CC=shutil.which("false") or "false")
    assert built.name.endswith("-py3-none-any.whl")
    assert not [name for name in modules_of(built) if name.endswith(".so")]


def test_the_image_installs_the_same_wheel(built: Path, tmp_path: Path) -> None:
    """What the Dockerfile copies before it installs, copied as COPY copies: links stay links."""
    recipe = (ROOT / "demo_service" / "Dockerfile").read_text().split("RUN ")[0]
    copied = [word for line in recipe.splitlines() if line.startswith("COPY ") for word in line.split()[1:-1]]
    for one in copied:
        run("cp", "-a", ROOT / one, tmp_path / one, cwd=ROOT)
    allowed = (ROOT / "demo_service" / "Dockerfile.dockerignore").read_text().splitlines()
    assert {f"!{one}" for one in (*copied, "demo_service")} | {"**/*.so"} <= set(allowed)
    for built_here in tmp_path.rglob("*.so"):  # of other versions of Python
        built_here.unlink()
    assert modules_of(hatch("wheel", tmp_path, tmp_path / "wheel")) == modules_of(built)


def test_importing_gives_the_public_words_and_loads_next_to_nothing(installed: Path, tmp_path: Path) -> None:
    code = """
import json, sys
before = set(sys.modules)
import whywait
new = set(sys.modules) - before
from whywait import analysis
heavy = {"opentelemetry.sdk", "pandas", "numpy", "pyarrow", "msgspec", "plotly", "typer"} & set(sys.modules)
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


def test_a_traced_run_of_pytest_has_no_warning_of_ours(installed: Path, tmp_path: Path) -> None:
    """Our modules are there before pytest's rewriting of asserts, which would warn of a plugin that is."""
    (tmp_path / "test_one.py").write_text("import sys\n\n\ndef test_one():\n    assert 'whywait' in sys.modules\n")
    said = run(
        installed / "whywait", "run", "--", installed / "python", "-m", "pytest", "-p", "no:cacheprovider",
        cwd=tmp_path,
    )  # fmt: skip
    assert "1 passed" in said
    assert "whywait" in said.split("plugins:")[1].splitlines()[0]
    assert "cannot be rewritten; whywait" not in said


def test_the_demo_is_not_installed(installed: Path, tmp_path: Path) -> None:
    run(installed / "python", "-c", "import whywait.tracer.session", cwd=tmp_path)
    found = "import importlib.util, sys; sys.exit(importlib.util.find_spec('demo_service') is not None)"
    run(installed / "python", "-c", found, cwd=tmp_path)


WORK = """
import whywait

@whywait.traced
def work(): pass

for _ in range(3): work()
print("served")
"""

ASGI = """
from whywait import traced

@traced
async def answer(send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"served"})

async def app(scope, receive, send):
    if scope["type"] == "http":
        await answer(send)
"""


def test_what_is_imported_is_required(base: Path, complete: Path, tmp_path: Path) -> None:
    """Each module of ours, in an environment that has what its own requirements name and nothing else."""
    code = """
import importlib, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
    if not module.name.endswith((".__main__", "._core")):
        importlib.import_module(module.name)
"""
    run(base / "python", "-c", code, "whywait.tracer", cwd=tmp_path)
    run(complete / "python", "-c", code, "whywait.analysis", cwd=tmp_path)


def test_the_base_environment_has_nothing_of_the_extras(base: Path, tmp_path: Path) -> None:
    for module in ("pandas", "numpy", "pyarrow", "msgspec", "typer", "rich", "plotly", "jinja2"):
        assert said_by(base, tmp_path, "python", "-c", f"import {module}").returncode == 1, module


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]], ids=" ".join)
def test_the_base_install_has_help_for_every_command(base: Path, tmp_path: Path, words: list[str]) -> None:
    done = said_by(base, tmp_path, "whywait", *words)
    # no word at all is shown the help and refused, as with the extra
    assert (done.returncode, done.stdout if not words else done.stderr) == (0 if words else 2, "")
    here, extra = (done.stdout or done.stderr).split("pip install 'whywait[analysis]'")
    assert all(f"\n  {name} " in here for name in commands.BASE)
    assert all(f"\n  {name} " in extra for name in commands.ANALYSIS)


def test_the_base_install_knows_its_version_and_examines_the_machine(base: Path, tmp_path: Path) -> None:
    done = said_by(base, tmp_path, "whywait", "--version")
    assert (done.returncode, done.stdout) == (0, f"whywait {__version__}\n")
    done = said_by(base, tmp_path, "whywait", "doctor", "--json")
    assert done.returncode in (0, 1), done.stderr
    states = {one["name"]: one["state"] for one in json.loads(done.stdout)["checks"]}
    assert (states["opentelemetry"], states["probes"]) == ("yes", "yes"), done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["report", "traces"], "report needs the analysis extra"),
        (["reprot"], "Did you mean report?"),
        (["report", "--help"], "report needs the analysis extra"),
        (["--wrong"], "there is no command '--wrong'"),
    ],
    ids=" ".join,
)
def test_a_word_of_the_extra_or_a_wrong_one_names_the_extra(
    base: Path, tmp_path: Path, words: list[str], said: str
) -> None:
    done = said_by(base, tmp_path, "whywait", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "pip install 'whywait[analysis]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_extra_may_lack_one_of_its_parts(base: Path, tmp_path: Path) -> None:
    """A service that has typer of its own, through fastapi[standard], has not pandas by that."""
    code = f"""
import sys
sys.path.append({sysconfig.get_path("purelib")!r})
sys.modules["pandas"] = None
from whywait.tracer.cli import main
sys.exit(main(["report", "traces"]))
"""
    done = said_by(base, tmp_path, "python", "-c", code)
    assert done.returncode == 2
    assert "report needs the analysis extra" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_run_ends_with_one_line_on_what_to_do_next(base: Path, tmp_path: Path) -> None:
    (tmp_path / "work.py").write_text(WORK)
    done = said_by(base, tmp_path, "whywait", "run", "--", "python", "work.py")
    assert (done.returncode, done.stdout) == (0, "served\n")
    first, last = done.stderr.splitlines()
    assert first == f"whywait: traces go to {tmp_path / 'traces'}"
    assert last.startswith(f"whywait: 3 requests traced, in {tmp_path / 'traces'}. Next: whywait report traces ")
    assert last.endswith((" Recorded by the native core.", " Recorded by the python core."))
    assert len(list((tmp_path / "traces").iterdir())) == 1


def test_the_line_counts_the_requests_of_every_process_and_leaves_no_file(base: Path, tmp_path: Path) -> None:
    (tmp_path / "work.py").write_text(WORK)
    children = "import subprocess, sys; [subprocess.run([sys.executable, 'work.py']) for _ in range(2)]; import work"
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    words = ["whywait", "run", "-o", "out", "--", "python", "-c", children]
    done = said_by(base, tmp_path, *words, TMPDIR=str(temporary))
    assert [line for line in done.stderr.splitlines() if "traced, in" in line] == done.stderr.splitlines()[-1:]
    assert "whywait: 9 requests traced" in done.stderr
    assert list(temporary.iterdir()) == []
    # a start script is no Python process: the service that it starts has the last word
    done = said_by(base, tmp_path, *words[:5], "sh", "-c", "python -c pass; python work.py; true")
    assert done.stderr.count("requests traced, in") == done.stderr.count("requests") == 1


def test_a_run_without_requests_says_what_to_mark(base: Path, tmp_path: Path) -> None:
    done = said_by(base, tmp_path, "whywait", "run", "--", "python", "-c", "pass")
    assert "no requests were traced" in done.stderr.splitlines()[-1]
    assert "@whywait.traced" in done.stderr.splitlines()[-1]


def test_with_a_collector_the_lines_say_so_without_its_password(base: Path, tmp_path: Path) -> None:
    (tmp_path / "work.py").write_text(WORK)
    address = f"127.0.0.1:{free_port()}"
    done = said_by(
        base, tmp_path, "whywait", "run", "--service", "shop", "--", "python", "work.py",
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://me:hunter2@{address}", OTEL_EXPORTER_OTLP_TIMEOUT="1",
    )  # fmt: skip
    assert done.stderr.startswith(f"whywait: traces go to http://{address}\n")
    assert f"3 requests traced, sent to http://{address}" in done.stderr.splitlines()[-1]
    assert "whywait report JAEGER_URL --service shop" in done.stderr.splitlines()[-1]
    assert "me:hunter2@" not in "".join(line for line in done.stderr.splitlines() if line.startswith("whywait"))
    assert not (tmp_path / "traces").exists()


@pytest.mark.parametrize("output", [[], ["--output", "/proc/traces"]], ids=["default", "named"])
def test_where_no_file_can_be_written_the_service_runs(base: Path, tmp_path: Path, output: list[str]) -> None:
    """/proc takes no file of anybody, not even of root; nor does it as the folder of temporary files."""
    (tmp_path / "app.py").write_text(ASGI)
    port = free_port()
    command = [
        base / "whywait", "run", *output, "--", base / "python", "-m", "uvicorn", "--app-dir", tmp_path, "app:app",
        "--port", str(port), "--log-level", "warning",
    ]  # fmt: skip
    environment = {**os.environ, "TMPDIR": "/proc", "PYTHONPATH": ""}
    process = subprocess.Popen(command, cwd="/proc", env=environment, stderr=subprocess.PIPE)
    try:
        wait_until_up(process, f"http://127.0.0.1:{port}")
        assert get(f"http://127.0.0.1:{port}") == "served"
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGTERM
    (line,) = said.decode().splitlines()
    assert "cannot write traces to /proc/traces" in line
    assert "The service runs without whywait" in line
