"""What a unit of work is called, where only a function inside it knows: a worker's job, a route that is in no scope."""

import functools
from collections.abc import Callable
from typing import Any

from whywait.tracer.host.introspection import code_of
from whywait.tracer.hotpath.recorder import safely
from whywait.tracer.probes.requests.work import Arrivals, name
from whywait.tracer.records.current import ACTIVITY

Wrap = Callable[[Any, Arrivals], Any]  # what stands for a function, and the connections' arrivals


def named_by(said: Callable[[Any, Any], tuple[str, Any]]) -> Wrap:
    """Wrap a function called inside the unit, whose arguments and result have the unit's name, and the user's function."""

    def noted(args: Any, result: Any) -> None:
        found = ACTIVITY.get()
        if found is not None and found.request.open:
            found.request.name, function = said(args, result)
            found.request.root.code = getattr(function, "__code__", found.request.root.code)

    return lambda plain, _: _telling(plain, noted)


def _telling(plain: Any, noted: Callable[[Any, Any], None]) -> Any:
    """A function of which the arguments and the result are noted."""

    @functools.wraps(plain)
    def call(*args: Any, **kwargs: Any) -> Any:
        result = plain(*args, **kwargs)
        safely(name, noted, (*args, *kwargs.values()), result)
        return result

    return call


def routed(said: Callable[[Any, Any], tuple[str, str, Any]]) -> Wrap:
    """Wrap a framework's function that finds the route: `said` gives method, route, and the user's function or None."""

    def noted(args: Any, result: Any) -> None:
        found, (method, route, function) = ACTIVITY.get(), said(args, result)
        own = found.request.own_span if found is not None and found.request.open else None
        if found is not None and own is not None and route:
            found.request.root.code = code_of(function) or found.request.root.code
            own.route = route = f"/{route.lstrip('/^')}"
            found.request.name = f"{method} {route}"

    return lambda plain, _: _telling(plain, noted)
