"""Writes an analysis as Chrome trace JSON, for Perfetto's UI: one track per request, thread, loop and activity.

requests              one track per request: its wall time, and below it its causes
threads of SERVICE    one track per worker thread and loop: what ran there, for whom
slowest: GET /rank    the slowest requests: one track per task and job, with its waits
arrows                from who ended a wait to who waited, and from a job's request to the thread that ran it
"""

from whywait.analysis.report.perfetto.layout import VIEWER
from whywait.analysis.report.perfetto.trace_file import Written, write_perfetto

__all__ = ["VIEWER", "Written", "write_perfetto"]
