"""`pytest --whywait`, as a user's suite meets it: in a process of its own."""

import textwrap

import pytest

pytest_plugins = ["pytester"]

APP = """
    import threading
    import time

    from fastapi import FastAPI

    app = FastAPI()
    made_at_import = threading.Lock()

    @app.get("/orders")
    async def orders():
        time.sleep(0.2)
        return {}

    @app.get("/health")
    async def health():
        return {}

    @app.get("/stock")
    def stock():
        with made_at_import:
            time.sleep(0.15)
        return {}
"""
TESTS = """
    import asyncio

    import httpx
    import pytest
    from starlette.testclient import TestClient

    from app import app

    async def ask(*paths):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client:
            await asyncio.gather(*(client.get(path) for path in paths))

    def test_slow():
        asyncio.run(ask("/health", "/orders"))

    def test_quick():
        asyncio.run(ask("/health"))

    def test_without_requests():
        pass
"""
LINE = 1 + next(at for at, line in enumerate(APP.strip().splitlines()) if "sleep(0.2)" in line)
CULPRIT = f"in time.sleep in orders (*app.py:{LINE})"
TITLE = "*whywait: what the requests of tests waited for*"


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    """A service and its tests, two of which make requests."""
    pytester.makepyfile(app=textwrap.dedent(APP).lstrip(), test_orders=textwrap.dedent(TESTS))
    pytester.makeini("[pytest]\nfilterwarnings =\n  error\n  ignore:Using `httpx` with\naddopts = --strict-markers")
    return pytester


def add(suite: pytest.Pytester, code: str) -> None:
    path = suite.path / "test_orders.py"
    path.write_text(path.read_text() + textwrap.dedent(code))


@pytest.mark.parametrize("workers", [(), ("--numprocesses=2",)], ids=["one process", "xdist"])
def test_the_blocking_function_is_named_with_its_line_and_a_quick_test_says_nothing(
    suite: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    ran = suite.runpytest_subprocess("--whywait", *workers)
    ran.assert_outcomes(passed=3)
    ran.stdout.fnmatch_lines(
        [TITLE, "test_orders.py::test_slow", f"  GET /*: * ms, the slowest of 2 requests. *{CULPRIT}*"]
    )
    ran.stdout.no_fnmatch_line("test_orders.py::test_quick")
    ran.stdout.no_fnmatch_line("test_orders.py::test_without_requests")


def test_a_client_of_starlette_that_outlives_a_test(suite: pytest.Pytester) -> None:
    add(
        suite,
        """
        @pytest.fixture(scope="module")
        def client():
            with TestClient(app) as found:
                yield found

        def test_first(client):
            assert client.get("/orders").status_code == 200

        def test_second(client):
            assert client.get("/orders").status_code == 200
        """,
    )
    ran = suite.runpytest_subprocess("--whywait", "-k", "first or second")
    ran.assert_outcomes(passed=2, deselected=3)
    said = f"  GET /orders: 2?? ms, the slowest of 1 request. *{CULPRIT}*"
    ran.stdout.fnmatch_lines(["test_orders.py::test_first", said, "test_orders.py::test_second", said])


def test_a_lock_that_was_made_when_the_application_was_imported_is_named(suite: pytest.Pytester) -> None:
    add(suite, "\ndef test_both():\n    asyncio.run(ask('/stock', '/stock', '/stock'))\n")
    ran = suite.runpytest_subprocess("--whywait", "-k", "both")
    ran.stdout.fnmatch_lines(["test_orders.py::test_both", "  GET /stock: *Lock wait * ms*app.py:7*by stock*"])


def test_a_budget_fails_the_test_with_reason_culprit_and_remedy(suite: pytest.Pytester) -> None:
    ran = suite.runpytest_subprocess("--whywait-budget", "150")
    ran.assert_outcomes(passed=2, failed=1)
    ran.stdout.fnmatch_lines(
        ["A client waited 2?? ms; the budget is 150 ms.", f"GET /*{CULPRIT}*What to change: *await asyncio.sleep*"]
    )


def test_a_tests_own_budget_goes_before_that_of_all(suite: pytest.Pytester) -> None:
    add(
        suite,
        """
        @pytest.mark.whywait(budget_ms=2000)
        def test_may_be_slow():
            asyncio.run(ask("/orders"))

        @pytest.mark.whywait(budget_ms=2000)
        def test_asks_nothing():
            pass
        """,
    )
    ran = suite.runpytest_subprocess("--whywait-budget", "150")
    ran.assert_outcomes(passed=4, failed=1)
    ran.stdout.fnmatch_lines(["FAILED test_orders.py::test_slow*"])
    ran.stdout.fnmatch_lines(
        ["test_orders.py::test_asks_nothing", "  no request was seen, so the budget of 2000 ms was not tested"]
    )


def test_nothing_is_imported_and_no_budget_holds_without_the_option(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        test_imports="""
        import sys, pytest

        @pytest.mark.whywait(budget_ms=1)
        def test_what_is_there():
            ours = {one for one in sys.modules if one.startswith("whywait.")}
            assert ours == {"whywait.pytest_plugin"}
            assert not {"pandas", "opentelemetry"} & set(sys.modules)
        """
    )
    ran = suite.runpytest_subprocess("test_imports.py")
    ran.assert_outcomes(passed=1)
    ran.stdout.no_fnmatch_line(TITLE)


def test_a_process_that_is_traced_already_is_refused(suite: pytest.Pytester) -> None:
    suite.makeconftest("import whywait\nwhywait.start(output='traces')\n")
    ran = suite.runpytest_subprocess("--whywait")
    assert ran.ret == pytest.ExitCode.USAGE_ERROR
    ran.stderr.fnmatch_lines(["*this process is traced already*"])
