"""Timestamped logs as evidence: lines → sightings (patterns, clock_text) → requests of stretches and silences →
spans. A log shows where a program was, never why: nothing here names a cause."""

from whywait.analysis.logs.model import LoggedRequest, LogReading, Sighting, Silence, Stretch
from whywait.analysis.logs.reading import read_logs

__all__ = ["LogReading", "LoggedRequest", "Sighting", "Silence", "Stretch", "read_logs"]
