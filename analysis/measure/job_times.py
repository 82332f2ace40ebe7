"""Collection delay: from a job's end until its waiter continues. Finds it and divides it among causes.

    job     |..queue..|------run------|......collect......|
    waiter  ~~~~~~~~~~~~~~~waits~~~~~~~~~~~~~~~~~~~~~~~~~~|goes on
                                      |loop_busy by X|wakeup|

A timer around the await takes it for the job's, one inside the job does not see it. It is no cause, but has causes.
"""

from typing import Final

import numpy as np
import pandas as pd

from whywait.analysis.grouped import columns
from whywait.analysis.model import CAUSE_COLUMNS, Analysis, attribute, identities
from whywait.tracer import schema

JOB_COLUMNS: Final = (
    "trace_id", "request_id", "endpoint", "job_id", "job", "on_path",
    "submit_ns", "start_ns", "end_ns", "resume_ns", "queue_ns", "run_ns", "collect_ns",
)  # fmt: skip


def job_times(analysis: Analysis) -> pd.DataFrame:
    """Return what timers at its four moments would measure of each executor job (JOB_COLUMNS, integer ns). `on_path`:
    the request's critical path goes through it."""
    spans = analysis.spans
    kinds = attribute(spans, schema.KIND)
    jobs = spans.assign(job_id=identities(spans))[kinds == schema.KIND_JOB]
    runs = spans[kinds == schema.KIND_RUN]
    by_job = runs.assign(span_id=attribute(runs, schema.ACTIVITY)).groupby(["trace_id", "span_id"])
    bounds = columns(by_job, start_ns=("start_ns", "min"), end_ns=("end_ns", "max")).reset_index()
    requests = analysis.requests.drop_duplicates("trace_id")[["trace_id", "request_id", "endpoint"]]
    table = jobs[["trace_id", "span_id", "job_id", "name", "start_ns", "end_ns"]].rename(
        columns={"name": "job", "start_ns": "submit_ns", "end_ns": "resume_ns"}
    )
    table = table.merge(bounds, on=["trace_id", "span_id"]).merge(requests, on="trace_id")
    on_path = analysis.causes[["request_id", "activity_id"]].drop_duplicates()
    path = pd.MultiIndex.from_frame(on_path)
    table["on_path"] = pd.MultiIndex.from_frame(table[["request_id", "job_id"]]).isin(path)
    table["job"] = table["job"].str.removeprefix(schema.JOB_SPAN_PREFIX)
    table["queue_ns"] = table["start_ns"] - table["submit_ns"]
    table["run_ns"] = table["end_ns"] - table["start_ns"]
    table["collect_ns"] = table["resume_ns"] - table["end_ns"]
    return table.sort_values(["submit_ns", "job_id"], kind="stable").reset_index(drop=True)[list(JOB_COLUMNS)]


def collect_delay(analysis: Analysis) -> pd.DataFrame:
    """Return the rows of `causes` between a job's end and the moment its waiter continues, on the critical path only.
    Rows that cross an end are cut there, so that a request's amounts sum to its delay."""
    jobs = job_times(analysis)
    jobs = jobs[jobs["on_path"] & (jobs["collect_ns"] > 0)]
    windows = jobs[["request_id", "job_id", "end_ns", "resume_ns"]].rename(columns={"end_ns": "from_ns"})
    rows = analysis.causes.reset_index(names="row").merge(windows, on="request_id")
    # the job's own rows end with its function; later rows belong to its waiter
    rows = rows[(rows["start_ns"] < rows["resume_ns"]) & (rows["end_ns"] > rows["from_ns"])]
    own = pd.MultiIndex.from_frame(jobs[["request_id", "job_id"]])
    rows = rows[~pd.MultiIndex.from_frame(rows[["request_id", "activity_id"]]).isin(own)]
    begin = np.maximum(rows["start_ns"], rows["from_ns"])
    end = np.minimum(rows["end_ns"], rows["resume_ns"])
    rows = rows.assign(start_ns=begin, end_ns=end, amount_ns=end - begin)
    rows["culprit_ns"] = np.minimum(rows["culprit_ns"], rows["amount_ns"])
    # a row may overlap the windows of two jobs: it counts once, with the longer part
    rows = rows.sort_values(["row", "amount_ns"], ascending=[True, False]).drop_duplicates("row")
    return pd.DataFrame(rows.loc[:, list(CAUSE_COLUMNS)].reset_index(drop=True))
