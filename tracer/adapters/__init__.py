"""Marks functions of libraries as phases, by name, without a change to the calling code.

    whywait.adapters.register("mylib", {"mylib.Model.predict": "compute"})

A table names functions and methods of one library, and the phase of their calls. It is applied between
`start` and `stop`: at once to imported modules, to others when they are imported.
"""

from whywait.tracer.adapters.devices import Device
from whywait.tracer.adapters.install import install
from whywait.tracer.adapters.registry import AdapterError, Rule, libraries, register, unregister

__all__ = ["AdapterError", "Device", "Rule", "install", "libraries", "register", "unregister"]
