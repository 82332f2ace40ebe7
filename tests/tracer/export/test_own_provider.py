"""Our provider gives a tracer that was asked for before without a lock."""

from threading import Thread

import pytest
from opentelemetry.sdk.trace import Tracer

from whywait.tracer.export.sdk_internals import OwnTracerProvider


@pytest.fixture
def provider():
    made = OwnTracerProvider(shutdown_on_exit=False)
    yield made
    made.shutdown()


def test_who_asks_again_waits_for_no_lock(provider):
    first, found = provider.get_tracer("service", "1"), []
    asks = Thread(target=lambda: found.append(provider.get_tracer("service", "1")))
    locks = [one for one in (provider._given_lock, getattr(provider, "_tracers_lock", None)) if one is not None]
    for lock in locks:
        lock.acquire()
    try:
        asks.start()
        asks.join(10)
    finally:
        for lock in locks:
            lock.release()
    assert found == [first]


def test_other_words_are_another_tracer_also_where_they_cannot_be_looked_up(provider):
    asked = [(("service",), {}), (("service", "2"), {}), (("service",), {"attributes": {"a": "b"}})]
    first, *others = [provider.get_tracer(*about, **more) for about, more in asked * 2]
    assert isinstance(first, Tracer)
    assert len({id(one) for one in provider.given()}) >= 3
    assert first is others[2]
    assert first is not others[0]
