"""Shows why an async Python request was slow, what caused it, and what a change would save.

    import whywait
    whywait.start(service_name="predictor")    # or no code: whywait run -- uvicorn app:app

    @whywait.traced                            # def, async def, generator, async generator, method
    def rank(pods): ...

    with whywait.phase("predict"): ...

    from whywait import analysis               # reads the traces; needs the analysis extra

Importing this package has no side effect and is cheap: the names below are imported when first used.
`tracer` writes traces and `analysis` reads them; both are links to folders of the repository.

PYTEST_DONT_REWRITE: it would warn of each import before pytest's own, as under `whywait run`.
"""

TYPE_CHECKING = False  # as `typing` has it, whose import would cost every Python child of a service some ms
if TYPE_CHECKING:
    from typing import Any

    from whywait.tracer import adapters
    from whywait.tracer.config import Config, ConfigError
    from whywait.tracer.decorators import phase, traced
    from whywait.tracer.session import is_active, start, stop

__version__ = "0.1.0"

__all__ = ["Config", "ConfigError", "__version__", "adapters", "is_active", "phase", "start", "stop", "traced"]

_HOME = {
    "Config": "whywait.tracer.config",
    "ConfigError": "whywait.tracer.config",
    "is_active": "whywait.tracer.session",
    "phase": "whywait.tracer.decorators",
    "start": "whywait.tracer.session",
    "stop": "whywait.tracer.session",
    "traced": "whywait.tracer.decorators",
}


def __getattr__(name: str) -> "Any":
    from importlib import import_module

    if name == "adapters":
        found: Any = import_module("whywait.tracer.adapters")
    elif name in _HOME:
        found = getattr(import_module(_HOME[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
