"""The same service, which starts its tracer itself where it is imported."""

import whywait
from tests.unharmed.app import app

whywait.start("started")

__all__ = ["app"]
