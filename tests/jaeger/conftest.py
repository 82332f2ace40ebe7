"""One real Jaeger for all tests of this folder."""

from collections.abc import Iterator

import pytest

from testbed.jaeger_server import Jaeger, binary, running


@pytest.fixture(scope="session")
def jaeger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jaeger]:
    program = binary()
    if program is None:
        pytest.skip("no Jaeger binary: `make jaeger` builds one where there is a Go toolchain")
    with running(program, tmp_path_factory.mktemp("jaeger")) as server:
        yield server
