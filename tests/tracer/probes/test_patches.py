"""A patch is taken out exactly, in reverse, and no failure keeps another from being undone."""

import logging
from typing import Any

import pytest

from whywait.tracer.probes.patches import Patches


class Base:
    def inherited(self) -> str:
        return "plain"


class Owner(Base):
    @classmethod
    def own(cls) -> str:
        return "plain"


def test_what_was_own_and_what_was_inherited_is_put_back_as_it_was() -> None:
    before = dict(vars(Owner))
    patches = Patches()
    patches.replace(Owner, "own", lambda: "ours")
    patches.replace(Owner, "inherited", lambda self: "ours")
    patches.replace(Owner, "own", lambda: "twice")
    assert (Owner.own(), Owner().inherited()) == ("twice", "ours")
    patches.undo()
    patches.undo()
    assert dict(vars(Owner)) == before


def test_a_refusal_raises_and_takes_out_what_was_replaced_before() -> None:
    before = dict(vars(Owner))
    patches = Patches()
    patches.replace(Owner, "own", lambda: "ours")
    with pytest.raises(TypeError):
        patches.replace(int, "bit_length", lambda: 0)
    assert dict(vars(Owner)) == before


def test_one_that_cannot_be_undone_is_logged_and_keeps_no_other_in_place(caplog: pytest.LogCaptureFixture) -> None:
    order: list[str] = []

    def broken() -> None:
        order.append("second")
        raise RuntimeError("gone")

    patches = Patches()
    patches.add("first", lambda: order.append("first"))
    patches.add("mylib.pool", broken)
    patches.add("third", lambda: order.append("third"))
    with caplog.at_level(logging.WARNING, "whywait"):
        patches.undo()
    assert order == ["third", "second", "first"]
    (said,) = caplog.messages
    assert "could not remove its patch of mylib.pool: RuntimeError('gone')" in said
    assert "Restart" in said


def test_a_static_attribute_of_an_object_goes_again() -> None:
    thing: Any = Owner()
    patches = Patches()
    patches.replace(thing, "inherited", lambda: "ours")
    assert thing.inherited() == "ours"
    patches.undo()
    assert vars(thing) == {}
