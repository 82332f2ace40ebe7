"""What whywait takes from the environment and the command line before it traces."""

import logging
import sys
from pathlib import Path

import pytest

import whywait
from whywait.tracer.export.collector import collector_exporter
from whywait.tracer.host.names.app_name import app_name, app_packages
from whywait.tracer.session import is_active

NAMED = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


def test_start_never_raises_into_the_service(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("WHYWAIT_KEEP", "odd")
    whywait.start()
    assert not is_active()
    assert "WHYWAIT_KEEP is 'odd'" in caplog.text


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["python", "bin/uvicorn", "shop.main:app", "--host", "localhost:80"], "shop"),
        (["python", "-m", "uvicorn", "app:app"], "app"),
        (["python", "-m", "shop.__main__"], "shop"),
        (["python", "-X", "dev", "/srv/shop/main.py"], "shop"),
        (["python", "orders.py"], "orders"),
    ],
)
def test_the_services_name_is_the_applications(
    monkeypatch: pytest.MonkeyPatch, words: list[str], expected: str
) -> None:
    monkeypatch.setattr(sys, "orig_argv", words)
    assert app_name() == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["python", "/venv/bin/uvicorn", "shop.main:app", "--host", "127.0.0.1"], {"shop"}),
        (["python", "-m", "shop"], {"shop"}),
        (["python", "-m", "daphne", "shop.asgi:application"], {"shop"}),
        (["python", "bin/celery", "-A", "shop", "worker"], {"shop"}),
        (["python", "bin/arq", "shop.worker.WorkerSettings", "--watch", "src"], {"shop"}),
        (["python", "bin/gunicorn", "shop.main:make()", "-k", "uvicorn.workers.UvicornWorker"], {"shop"}),
        (["python", "main.py", "--redis", "redis.internal", "--url", "redis://localhost:6379"], set()),
    ],
)
def test_the_services_packages_are_those_that_are_named(
    monkeypatch: pytest.MonkeyPatch, words: list[str], expected: set[str]
) -> None:
    monkeypatch.setattr(sys, "orig_argv", words)
    monkeypatch.setattr("whywait.tracer.host.names.app_name._parents_words", list)
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "")
    assert app_packages() == expected


def test_of_an_installed_script_it_is_what_that_imports(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "shop-serve"
    script.write_text(
        "#!/venv/bin/python\nimport re\nimport sys\nfrom shop.cli import main\nif __name__ == '__main__':\n  main()\n"
    )
    monkeypatch.setattr(sys, "orig_argv", ["python", str(script), "--port", "80"])
    assert app_packages() == {"shop"}
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "site.settings")
    assert app_packages() == {"site"}


@pytest.mark.parametrize("words", [["-c", "conf.py"], ["--config=file:conf.py"], []])
def test_of_gunicorn_it_is_what_its_configuration_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("conf.py" if words else "gunicorn.conf.py").write_text(
        'bind = "127.0.0.1:80"\nwsgi_app = "shop.main:create_app()"\n'
    )
    monkeypatch.setattr(sys, "orig_argv", ["python", "/venv/bin/gunicorn", *words])
    assert app_packages() == {"shop"}
    assert app_name() == "shop"
    monkeypatch.setattr(sys, "orig_argv", ["python", "/venv/bin/gunicorn", "other.main:app", *words])
    assert app_packages() == {"other"}


def test_grpc_is_refused_in_one_sentence_where_its_exporter_is_missing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.grpc.trace_exporter", None)
    with caplog.at_level(logging.WARNING):
        assert collector_exporter({**NAMED, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}) is None
    assert [record.getMessage() for record in caplog.records if "whywait[grpc]" in record.getMessage()] == [
        caplog.messages[0]
    ]
    assert collector_exporter(NAMED) is not None
    assert collector_exporter({}) is None
