"""The hand-written faults, one module per family; importing this registers them all."""

from benchmarks.truth.faults import (
    arrival,
    collectors,
    cpu,
    device,
    edges,
    gil,
    locks,
    loop,
    memory,
    outside,
    pools,
    transfer,
    work_of_its_own,
)

__all__ = [
    "arrival", "collectors", "cpu", "device", "edges", "gil", "locks", "loop", "memory", "outside", "pools",
    "transfer", "work_of_its_own",
]  # fmt: skip
