"""One browser for all tests of this folder."""

from collections.abc import Iterator

import pytest

from testbed import chromium


@pytest.fixture(scope="session")
def browser() -> Iterator[chromium.Page]:
    if chromium.program() is None:
        pytest.skip("no Chromium: Debian's package is called chromium")
    with chromium.page() as page:
        yield page


@pytest.fixture
def tab(browser: chromium.Page) -> chromium.Page:
    browser.complaints.clear()
    browser.requests.clear()
    return browser
