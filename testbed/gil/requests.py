"""Runs requests on threads that contend for the GIL, and prints what each truly waited: a program for tests.

python requests.py YARDSTICK.so OUTPUT KIND HOG SECONDS
"""

import ctypes
import json
import random
import socket
import sys
import threading
import time

import numpy as np

import whywait

THREADS = 3
stop = False
reads_ns: list[tuple[int, int]] = []  # of each socket read: until its byte was sent, and until it had it


def spin(seconds: float) -> None:
    until = time.thread_time() + seconds
    total = 0
    while time.thread_time() < until:
        total += sum(range(50))


def hog(busy_s: float, idle_s: float) -> None:
    """Computes in Python, as a background thread of a service might."""
    while not stop:
        spin(busy_s)
        time.sleep(idle_s)


def native(matrix: "np.ndarray[tuple[int, int], np.dtype[np.float64]]") -> None:
    np.linalg.eigvals(matrix)  # keeps off the GIL for most of its time, and has threads of its own


def echo(near: socket.socket, far: socket.socket) -> None:
    sent_ns: list[int] = []

    def send() -> None:
        sent_ns.append(time.perf_counter_ns())
        far.send(b"x")

    threading.Timer(0.004, send).start()
    begun_ns = time.perf_counter_ns()
    near.recv(1)
    reads_ns.append((max(sent_ns[0] - begun_ns, 0), time.perf_counter_ns() - begun_ns))


def request(kind: str, dice: random.Random, matrix: "np.ndarray[tuple[int, int], np.dtype[np.float64]]") -> None:
    for _ in range(dice.randint(1, 3)):
        spin(dice.uniform(0.001, 0.006))
        if kind == "native":
            native(matrix)
        elif kind == "socket":
            near, far = socket.socketpair()
            with near, far:
                echo(near, far)


def main() -> None:
    global stop
    yardstick, output, kind, with_hog, seconds = sys.argv[1:]
    waited_ns = ctypes.PyDLL(yardstick).gil_waited_ns  # keeps the GIL, or asking would change the answer
    waited_ns.restype = ctypes.c_uint64
    whywait.start(output=output)
    told: dict[str, list[int]] = {}
    end_s = time.monotonic() + float(seconds)

    def work(seed: int) -> None:
        dice = random.Random(seed)
        matrix = np.random.default_rng(seed).random((60, 60))
        mine = told.setdefault(f"request of thread {seed}", [])
        while time.monotonic() < end_s:
            with whywait.phase(f"request of thread {seed}"):
                before = waited_ns()
                request(kind, dice, matrix)
                mine.append(waited_ns() - before)
            time.sleep(dice.uniform(0.0, 0.01))

    count = 1 if with_hog == "alone" else THREADS
    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(count)]
    hogs = [threading.Thread(target=hog, args=(0.014, 0.006), name="the hog")] if with_hog == "hog" else []
    for one in (*hogs, *threads):
        one.start()
    for one in threads:
        one.join()
    stop = True
    for one in hogs:
        one.join()
    whywait.stop()
    print(json.dumps({"gil_ns": told, "reads_ns": reads_ns}))


if __name__ == "__main__":
    main()
