"""What child processes cost a traced service, and what a host sees of whywait at rest.

python -m benchmarks.spawn --out benchmarks/results/spawn.md

Three copies of one service wait side by side: untraced, traced, untraced again. They start children in turns, and the
two untraced ones show how far equals differ on this machine.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks import command
from testbed.sampler_process import samplers_of
from testbed.service import ROOT

VARIANTS: Final = ("untraced", "traced", "untraced again")
HEAPS_MIB: Final = (0, 1_024)
SPAWNS: Final = (  # loop, what it does, in words
    ("uvloop", "execs", "`asyncio.create_subprocess_exec` on uvloop"),
    ("asyncio", "execs", "`asyncio.create_subprocess_exec` on asyncio"),
    ("asyncio", "execs_with_preexec_fn", "`subprocess.Popen` with `preexec_fn`"),
    ("asyncio", "forks", "`os.fork`, and its end"),
    ("asyncio", "runs_python", "`python -c pass`, time"),
    ("asyncio", "runs_python_cpu", "`python -c pass`, its CPU"),
)
IDLE_S: Final = 20.0
TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")


class Service:
    """One copy of the program."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def ask(self, do: str, times: int = 1) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": do, "times": times}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


@contextmanager
def service(variant: str, loop: str, heap_mib: int, output: Path) -> Iterator[Service]:
    words = [sys.executable, "-m", "benchmarks.spawn.program", loop, str(heap_mib)]
    if variant == "traced":
        words = [sys.executable, "-m", "whywait", "run", "-o", str(output), "--", *words]
    # compiled, as pip leaves what it installs: else each child compiles the module by which it waits to be traced
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPATH"] = str(ROOT)
    with subprocess.Popen(
        words,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield Service(process)
        finally:
            process.kill()


@contextmanager
def services(loop: str, heap_mib: int) -> Iterator[dict[str, Service]]:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        yield {one: stack.enter_context(service(one, loop, heap_mib, Path(folder))) for one in VARIANTS}


def in_turns(loop: str, do: str, heap_mib: int, turns: int, block: int) -> dict[str, list[float]]:
    """The lower quartile of each turn's block, which other work on the machine disturbs least, ms, by variant."""
    found: dict[str, list[float]] = {one: [] for one in VARIANTS}
    with services(loop, heap_mib) as copies:
        for one in copies.values():
            one.ask(do, 2)
        for _ in range(turns):
            for variant, one in copies.items():
                found[variant].append(statistics.quantiles(one.ask(do, block), n=4)[0] * 1e3)
    return found


def row(words: str, heap_mib: int, found: dict[str, list[float]]) -> str:
    plain, traced, again = (found[one] for one in VARIANTS)
    ratios, floor = ([b / a for a, b in zip(plain, other, strict=True)] for other in (traced, again))
    low, high = min(floor), max(floor)
    return (
        f"| {words} | {heap_mib} | {statistics.median(plain):.2f} | {statistics.median(traced):.2f} "
        f"| **{statistics.median(ratios):.2f}** | {statistics.median(floor):.2f} ({low:.2f}–{high:.2f}) |"
    )


# at rest


def cpu_s(process_id: int) -> float:
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def at_rest() -> str:
    with services("asyncio", 0) as copies:
        time.sleep(3)
        ids = {name: one.process.pid for name, one in copies.items()}
        samplers = {name: samplers_of(number) for name, number in ids.items()}
        before = {number: cpu_s(number) for number in [*ids.values(), *samplers["traced"]]}
        time.sleep(IDLE_S)
        used = {number: (cpu_s(number) - start_s) / IDLE_S for number, start_s in before.items()}
        seen = {name: one.ask("rest") for name, one in copies.items()}
    plain, traced = seen["untraced"], seen["traced"]
    lines = ["| at rest | untraced | traced |", "|---|---|---|"]
    for title, key in (
        ("threads that `threading.enumerate` lists", "threads"),
        ("signals that are handled", "handlers"),
    ):
        lines.append(f"| {title} | {', '.join(plain[key]) or 'none'} | {', '.join(traced[key]) or 'none'} |")
    lines.insert(3, f"| threads of the kernel | {plain['tasks']} | {traced['tasks']} |")
    new = sorted(
        {
            name.split(" ")[0]
            for name in set(traced["files"]) - set(plain["files"])
            if not name.startswith(("pipe:", "socket:"))
        }
    )
    pipes = [sum("pipe:" in name for name in one["files"]) for one in (plain, traced)]
    lines += [
        f"| open files | {len(plain['files'])} ({pipes[0]} pipes) | {len(traced['files'])} ({pipes[1]} pipes; new: {', '.join(f'`{one}`' for one in new) or 'none'}) |",
        f"| modules in `sys.modules` | {plain['modules']} | {traced['modules']} |",
        f"| memory, MiB | {plain['memory_mib']:.0f} | {traced['memory_mib']:.0f} |",
        f"| other processes | none | {len(samplers['traced'])}: the sampler, in a session of its own |",
        f"| CPU, of a core | {used[ids['untraced']]:.2%} | {used[ids['traced']]:.2%} |",
        f"| CPU of the sampler | | {sum(used[one] for one in samplers['traced']):.2%} |",
    ]
    return "\n".join(lines)


def page(turns: int, block: int) -> str:
    rows = [
        row(words, heap, in_turns(loop, do, heap, turns, block))
        for loop, do, words in SPAWNS
        for heap in (HEAPS_MIB if "python" not in do else HEAPS_MIB[:1])
    ]
    return "\n".join([
        "# What child processes cost, and what a host sees at rest", "",
        f"Made by `python -m benchmarks.spawn --turns {turns} --block {block}`: three copies of one service (FastAPI, "
        f"uvicorn and uvloop imported; no request) wait side by side and start children in turns; {turns} turns of "
        f"{block} children each, of which the lower quartile counts. The ratio is the median over turns of traced / untraced, the noise that of the two "
        "untraced copies (lowest and highest turn in brackets).", "",
        command.machine_and_load(), "",
        "| a child started by | heap, MiB | untraced ms | traced ms | ratio | noise |", "|---|---:|---:|---:|---:|---|",
        *rows, "", "## At rest", "",
        f"Three seconds after the start, over {IDLE_S:g} s.", "", at_rest(),
    ])  # fmt: skip


if __name__ == "__main__":
    command.run(__doc__, page, turns=9, block=15)
