"""Phases of libraries, marked by name: no change to the code that calls them.

    whywait.adapters.register("mylib", {"mylib.Model.predict": "compute"})

A table names functions and methods of one library, and the phase that each of their calls is. It is
applied between `start` and `stop`: at once to what is imported already, else when its module comes.
"""

from whywait.tracer.adapters.devices import Device
from whywait.tracer.adapters.install import install
from whywait.tracer.adapters.registry import AdapterError, Rule, libraries, register, unregister

__all__ = ["AdapterError", "Device", "Rule", "install", "libraries", "register", "unregister"]
