"""What can be observed on this machine by this interpreter, and why not. Starts nothing that outlives the question."""

from whywait.tracer.doctor.check import Check, State

__all__ = ["Check", "State"]
