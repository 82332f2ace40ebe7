"""Looking at other threads' stacks, in a process whose gc callbacks let go of the GIL, harms nobody."""

import subprocess
import sys

PROGRAM = """
import gc, random, sys, threading, time
from tracer.places import place_of_thread

main = threading.main_thread()
gc.callbacks.append(lambda phase, info: time.sleep(0.0001) if threading.current_thread() is main else None)
gc.set_threshold(20, 5, 5)
sys.setswitchinterval(1e-5)
stop = False

def deep(depth):
    made = [[] for _ in range(20)]
    return deep(depth - 1) if depth else {str(number): number for number in range(20)}

def work():
    while not stop:
        deep(random.randint(1, 25))

def come_and_go():
    while not stop:
        thread = threading.Thread(target=deep, args=(10,))
        thread.start()
        thread.join()

threads = [threading.Thread(target=one, daemon=True) for one in (work, work, work, come_and_go, come_and_go)]
for one in threads:
    one.start()
seen, until = set(), time.monotonic() + 3
while time.monotonic() < until:
    seen |= {place_of_thread(one.ident) for one in threads}
assert gc.isenabled()
stop = True
for one in threads:
    one.join()
print(len(seen))
"""


def test_a_process_full_of_threads_goes_on_while_it_is_looked_at() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) > 2
