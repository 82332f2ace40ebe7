"""Finds out what whywait can observe on this machine with this interpreter. Leaves no process behind."""

from whywait.tracer.doctor.check import Check, State

__all__ = ["Check", "State"]
