"""A collection may come in the midst of anything; what we then do there harms nobody."""

import os
import subprocess
import sys

# Python 3.11 collects in the midst of `ContextVar.reset`; every phase that is a request by itself ends with
# one. The pause makes each collection long enough to be recorded.
PROGRAM = """
import gc, time
import whywait

whywait.start("test", config=whywait.Config(sampler=False))
gc.callbacks.append(lambda phase, info: time.sleep(0.0001))
for number in range(2_000):
    gc.set_threshold(5 + number % 23, 1_000)
    with whywait.phase("one"):
        pass
gc.callbacks.pop()
whywait.stop()
print("went on")
"""


def test_collections_in_the_midst_of_ending_requests_leave_the_process_alive() -> None:
    environment = {**os.environ, "OTEL_TRACES_EXPORTER": "none", "PYTHONMALLOC": "debug"}
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "went on\n"
