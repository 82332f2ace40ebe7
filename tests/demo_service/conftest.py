"""A small model, and the real app under a real uvicorn."""

import threading
import time
from collections.abc import Iterator

import httpx
import pytest
import uvicorn

from demo_service.app import create_app
from demo_service.settings import Settings


@pytest.fixture(scope="session")
def small() -> Settings:
    return Settings(training_rows=200, trees=10, depth=3, pool_size=3)


@pytest.fixture(scope="module")
def service(small: Settings) -> Iterator[httpx.Client]:
    config = uvicorn.Config(create_app(small), host="127.0.0.1", port=0, ws="none", log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="uvicorn")
    thread.start()
    try:
        deadline_s = time.monotonic() + 60
        while not server.started:
            assert thread.is_alive()
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as client:
            while client.get("/readyz").status_code != 200:
                assert time.monotonic() < deadline_s
                time.sleep(0.02)
            yield client
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()
