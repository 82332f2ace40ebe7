"""Timestamped logs as evidence: what their timers cover, what lies between, and what remains unknown.

    lines → sightings (patterns, clock_text) → requests of stretches and silences (stretches) → spans

A log shows where a program was. It never shows why, so nothing here names a cause.
"""

from whywait.analysis.logs.model import LoggedRequest, LogReading, Sighting, Silence, Stretch
from whywait.analysis.logs.reading import read_logs

__all__ = ["LogReading", "LoggedRequest", "Sighting", "Silence", "Stretch", "read_logs"]
