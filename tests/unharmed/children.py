"""A program that works in child processes of every kind; prints which process did what.

    python -m tests.unharmed.children METHOD KIND

METHOD is how `multiprocessing` starts them, KIND one of `process`, `pool`, `executor`.
"""

import json
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor

import whywait

CHILDREN, PIECES = 3, 12


def work(name: str) -> tuple[str, int]:
    with whywait.phase(name), whywait.phase(f"part of {name}"):
        sum(range(10_000))
    return name, os.getpid()


def report(name: str, results: "multiprocessing.SimpleQueue[tuple[str, int]]") -> None:
    results.put(work(name))


def main(method: str, kind: str) -> dict[str, int]:
    context = multiprocessing.get_context(method)
    names = [f"{kind} {number}" for number in range(PIECES)]
    if kind == "pool":
        with context.Pool(CHILDREN) as pool:
            done = pool.map(work, names, chunksize=1)
            pool.close()
            pool.join()
        return dict(done)
    if kind == "executor":
        with ProcessPoolExecutor(CHILDREN, mp_context=context) as executor:
            return dict(executor.map(work, names))
    results: multiprocessing.SimpleQueue[tuple[str, int]] = context.SimpleQueue()
    # in the midst of the parent's own work, which goes on in the parent alone
    with whywait.phase("around"):
        children = [context.Process(target=report, args=(name, results)) for name in names[:CHILDREN]]
        for child in children:
            child.start()
        done = [results.get() for _ in children]
        for child in children:
            child.join()
    return dict(done)


if __name__ == "__main__":
    found = main(*sys.argv[1:])
    found["main"] = work("main")[1]
    print(json.dumps(found))
