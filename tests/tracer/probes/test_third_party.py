"""A probe of somebody else's: one file and one entry point."""

import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import whywait
from tests.tracer.conftest import Traced
from whywait.tracer.hotpath import recorder

PROBE = """
import shop
from whywait.tracer.probes.blocking.timed_call import timed
from whywait.tracer.probes.patches import Patches

name = "shop"
needs = ("shop.Till._lock",)


def available():
    return True


def install(session):
    patches = Patches()
    patches.replace(shop.Till, "pay", timed(shop.Till.pay, "shop.Till.pay"))
    return patches.undo
"""
SHOP = """
import time


class Till:
    def __init__(self):
        self._lock = None

    def pay(self):
        time.sleep(0.03)
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Makes a distribution of three files: a library, its probe and the entry point."""

    def install(shop: str = SHOP, value: str = "shop_probe") -> None:
        (tmp_path / "shop.py").write_text(shop)
        (tmp_path / "shop_probe.py").write_text(PROBE)
        about = tmp_path / "shop-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: shop\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[whywait.probes]\nshop = {value}\n")
        monkeypatch.syspath_prepend(tmp_path)

    yield install
    for module in ("shop", "shop_probe"):
        sys.modules.pop(module, None)


def test_it_is_installed_records_and_is_taken_out(
    installed: Callable[..., None], traced_to: Callable[..., Traced]
) -> None:
    installed()
    import shop  # type: ignore[import-not-found]

    plain = vars(shop.Till)["pay"]
    spans = traced_to()
    assert recorder.active is not None
    assert "shop" in recorder.active.undo
    with whywait.phase("request"):
        shop.Till().pay()
    spans.stop()
    assert vars(shop.Till)["pay"] is plain
    (wait,) = (span for span in spans.of_kind("wait") if span["wait"] == "blocking_io")
    assert wait["for"] == "shop.Till.pay"
    assert 29 < wait.ms < 90


@pytest.mark.parametrize(
    ("shop", "value", "said"),
    [
        (SHOP.replace("_lock", "_mutex"), "shop_probe", "left out its shop probe: shop.Till._lock does not exist"),
        (SHOP, "no_such_module", "left out the probe 'shop' (no_such_module): ModuleNotFoundError"),
        (SHOP, "shop_probe:needs", "left out the probe 'shop' (shop_probe:needs): AttributeError"),
    ],
)  # fmt: skip
def test_one_that_cannot_work_is_left_out_with_one_line(
    shop: str, value: str, said: str,
    installed: Callable[..., None], traced_to: Callable[..., Traced], caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    installed(shop, value)
    with caplog.at_level(logging.WARNING, "whywait"):
        traced_to()
    assert [line for line in caplog.messages if "left out" in line] == caplog.messages
    assert len(caplog.messages) == 1
    assert said in caplog.messages[0]
    assert recorder.active is not None
    assert "shop" not in recorder.active.undo
    assert "blocking" in recorder.active.undo
