"""The options of `pytest --whywait`; nothing else is imported where they are not given.

PYTEST_DONT_REWRITE
"""

import pytest

_MARKER = (
    "whywait(budget_ms): with --whywait, the test fails when the client of one of its requests waited longer than that "
    "many milliseconds; it goes before --whywait-budget"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("whywait")
    group.addoption("--whywait", action="store_true", help="trace the requests of each test; say what they waited for")
    group.addoption(
        "--whywait-budget", type=float, metavar="MS",
        help="fail a test when the client of one of its requests waited longer; implies --whywait",
    )  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """Describe the marker, and trace where that is asked for. Raises UsageError where it cannot be."""
    config.addinivalue_line("markers", _MARKER)
    budget_ms = config.getoption("--whywait-budget")
    if not config.getoption("--whywait") and budget_ms is None:
        return
    try:
        from whywait.traced_tests import TracedTests
    except ImportError as missing:
        from whywait.commands import INSTALL

        raise pytest.UsageError(f"--whywait needs the analysis extra ({missing}): {INSTALL}") from missing
    config.pluginmanager.register(TracedTests(budget_ms), "whywait-traced-tests")
