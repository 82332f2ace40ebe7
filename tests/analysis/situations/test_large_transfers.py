"""Drawn jobs of processes whose objects are long on their way, beside such as compute for long."""

import pytest

from tests.analysis.drawing import drawn
from whywait.analysis.pipeline import analyze
from whywait.analysis.situations.situation import Situation
from whywait.analysis.verdicts.sentences import verdict
from whywait.tracer import schema

PICTURE = """
    server GET        |------------------------------|
    task   root       |------------------------------|
    wait   w  root    |-----------------------------|    waker=job
    job    job root   |-----------------------------|
    phase  put job    |{put}|{ran_from}                  cpu={cpu}
    run    run job     {gap}|{ran}|                      cpu={ran_cpu}
"""


@pytest.mark.parametrize(("put", "told"), [(12, True), (1, False)])
def test_what_takes_long_on_its_way_to_a_process_is_told_with_its_job(put: int, told: bool) -> None:
    picture = PICTURE.format(
        put="-" * put, ran_from="", cpu=put + 1, gap=" " * put, ran="-" * (27 - put), ran_cpu=27 - put
    )
    pickled = {schema.TRANSFER: schema.TRANSFER_PICKLED}
    spans = drawn(picture, {"put": pickled, "run": {"code.function.name": "score", "code.file.path": "/srv/app.py"}})
    spans["name"] = spans["name"].replace({"put": "anything", "job": "job score"})
    (found,) = verdict(analyze(spans))
    assert (Situation.LARGE_TRANSFER in [one.kind for one in found.judgement.situations]) == told
    if told:
        assert "13.0 ms of each request for score (13.0 ms pickling and unpickling, 0.00 ms in pipes)" in found.text
        assert found.judgement.reasons[0].remedy.key == "compute/large_transfer"


@pytest.mark.parametrize(
    ("name", "says", "words"),
    [
        (f"{schema.PICKLING}score", "are handed to processes", "Hand less to the processes of score"),
        (f"{schema.UNPICKLING}score", "come back from processes", "Let score give back less"),
        (f"{schema.UNPICKLING_THERE}score", "are handed to processes", "Hand less to the processes of score"),
    ],
)
def test_what_is_long_on_its_way_back_is_the_result(name: str, says: str, words: str) -> None:
    picture = PICTURE.format(put="-" * 12, ran_from="", cpu=13, gap=" " * 12, ran="-" * 15, ran_cpu=15)
    by = {"code.function.name": "score", "code.file.path": "/srv/app.py"}
    spans = drawn(picture, {"put": {schema.TRANSFER: schema.TRANSFER_PICKLED}, "run": by})
    spans["name"] = spans["name"].replace({"put": name, "job": "job score"})
    (found,) = verdict(analyze(spans))
    assert says in found.text
    assert words in found.remedy


QUEUED = """
    server GET        |------------------------------|
    task   root       |------------------------------|
    wait   w  root    |-----------------------------|    waker=job
    job    job root   |-----------------------------|
    wait   q  job     |---------------|                  type=pool_queue
    phase  there job  {gap}|{there}|                     cpu={there_cpu}
    run    run job    {gap}{ran_gap}|{ran}|              cpu={ran_cpu}
"""


@pytest.mark.parametrize(("there", "told"), [(9, True), (3, False)])
def test_a_queue_for_processes_that_mostly_unpickle(there: int, told: bool) -> None:
    picture = QUEUED.format(
        gap=" " * 16, there="-" * (there - 1), there_cpu=there, ran_gap=" " * there, ran="-" * (12 - there),
        ran_cpu=13 - there,
    )  # fmt: skip
    pickled = {schema.TRANSFER: schema.TRANSFER_PICKLED}
    spans = drawn(picture, {"there": pickled, "run": {"code.function.name": "score", "code.file.path": "/srv/app.py"}})
    (found,) = verdict(analyze(spans))
    (queue,) = [one for one in found.judgement.reasons if one.cause == "pool_queue"]
    assert (queue.remedy.key == "pool_queue/large_transfer") == told
