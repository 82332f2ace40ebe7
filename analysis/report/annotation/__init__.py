"""Writes causes as spans next to the analysed spans, for any trace viewer.

GET /rank          |-----------------------------------|   the request, as it was
  why GET /rank    |-----------------------------------|   service "predictor (why)": sums of all causes
    compute        |--|
    pool_queue        |-----------------|                  with detail, evidence and culprit
    gil_wait                            |----|
    compute                                  |---------|
"""

from whywait.analysis.report.annotation.cause_spans import cause_spans

__all__ = ["cause_spans"]
