"""Load for hours: do memory, threads, descriptors, children or traces of the traced service or its sampler grow?

python -m benchmarks.soak --minutes 120 --out benchmarks/results/soak.md
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import command
from benchmarks.soak import load, page
from benchmarks.soak.readings import Reading, process_of, read
from testbed.service import traced_service

APP = "benchmarks.soak.app:app"


def main() -> int:
    """Runs the load, prints the page and writes it anew after each kind of work; 0."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--seconds", type=float, default=20.0, help="of one kind of work")
    parser.add_argument("--rest", type=float, default=4.0, help="seconds after each")
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="uvloop")
    command.takes_out(parser)
    options = parser.parse_args()
    how = (
        f"Made by `python -m benchmarks.soak --minutes {options.minutes:g} --seconds {options.seconds:g} --rest "
        f"{options.rest:g} --loop {options.loop}`: {load.CLIENTS} clients in turn at {', '.join(load.MODES)} (predictions) "
        f"and {', '.join(f'`{one}`' for one in load.PATHS)} (`benchmarks/soak/app.py`); every span kept."
    )
    readings: list[Reading] = []
    with tempfile.TemporaryDirectory() as folder:
        traces = Path(folder)
        with traced_service(traces, app=APP, loop=options.loop, environment={"WHYWAIT_KEEP": "all"}) as url:
            service = process_of((APP, url.rsplit(":", 1)[1], options.loop))
            begun_s = time.monotonic()

            def after(answers: int) -> None:
                readings.append(read(service, traces, time.monotonic() - begun_s, answers))
                print(readings[-1], file=sys.stderr, flush=True)

            until_s = begun_s + options.minutes * 60
            asyncio.run(load.work(url, options.seconds, options.rest, until_s, after))
    command.publish(page.page(readings, how, command.machine_and_load()), options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
