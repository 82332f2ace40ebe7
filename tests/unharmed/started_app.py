"""The same service, which starts its tracer itself where it is imported."""

import tracer
from tests.unharmed.app import app

tracer.start("started")

__all__ = ["app"]
