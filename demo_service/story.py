"""`whywait demo`: starts the service, puts every mode under load, attributes, and reports the result."""

import json
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from demo_service.chapters.cell_driver import drive_cells, in_order, opening
from demo_service.chapters.cost_story import Cost, cost_text, measure_cost
from demo_service.chapters.foretold import foretold_text
from demo_service.chapters.story_cells import cells_of, comparison, label, only_cells
from demo_service.chapters.story_report import as_json, comparison_text, conditions, felt_text, table
from demo_service.driver.interruption import run_until_interrupted
from demo_service.driver.server_process import ServerError, ServerPlan, running
from demo_service.load import LoadError, LoadResult
from demo_service.plan import MODES, Plan, plan_of
from demo_service.settings import from_environment
from whywait.analysis import InputError, analyze, load_traces
from whywait.analysis.report.html.report import write_html
from whywait.analysis.verdicts.sentences import verdict

FULL_TURNS: Final = 12  # in which the cost of tracing is measured
SHORT_TURNS: Final = 3
TITLE: Final = "whywait demo: six ways to predict, and what their requests waited for"
NARROWEST: Final = 118  # columns the table needs; a pipe has no width of its own


class StoryError(Exception):
    """The demonstration cannot run as requested; the message has the reason in one line."""


def main(plan: Plan) -> int:
    """Run the demonstration; return 0, 2 if it cannot run (one line says why), 130 after Ctrl-C."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=max(console.width, NARROWEST))
    previous = signal.signal(signal.SIGTERM, _terminated)
    try:
        return _tell(plan, console)
    except (StoryError, ServerError, LoadError, InputError) as error:
        print(f"whywait demo: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("whywait demo: interrupted; the service was stopped", file=sys.stderr)
        return 130
    finally:
        signal.signal(signal.SIGTERM, previous)


def _terminated(_number: int, _frame: Any) -> None:
    raise SystemExit(143)


def _tell(plan: Plan, console: Console) -> int:
    traces = _empty_folder(plan.folder)
    measured_under = conditions()
    results = _measure(plan, traces, console)
    whole = plan.modes == MODES  # else only some of the story was asked for
    costs = _cost(plan, console) if whole else []
    notes = [cost_text(costs)] if costs else []
    with console.status("attributing every nanosecond of every request"):
        analysis = only_cells(analyze(load_traces(traces)), results)
        cells = cells_of(analysis, results)
        verdicts = verdict(analysis)
        write_html(analysis, plan.folder / "report.html", TITLE, notes=notes)
    console.print(Text("\n" + felt_text(cells), style="bold"))
    console.print(table(cells))
    _print_verdicts(plan.modes, plan, verdicts, console)
    found = comparison(cells)
    said = [("\n" + comparison_text(found), "bold")] if found is not None else []
    foretold = foretold_text(analysis, cells, from_environment())
    said += [("\n" + note, "") for note in (*notes, foretold) if note]
    said += [(f"note: {one.message} ({one.count}×)", "dim") for one in analysis.findings]
    for text, style in said:
        console.print(Text(text, style=style))
    content = {
        "conditions": {**measured_under, "full": plan.full},
        **as_json(cells, found, [str(one.text) for one in verdicts]),
        "foretold": foretold,
    }
    if whole:
        content |= {"cost": [asdict(one) for one in costs]}
    (plan.folder / "results.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    _print_what_next(escape(str(plan.folder)), console)
    return 0


def _print_what_next(folder: str, console: Console) -> None:
    console.print(f"\nEverything is in [bold]{folder}[/]: report.html, results.json, traces/, server.log")
    console.print(f"Open [bold]{folder}/report.html[/] in a browser: each request as a timeline, and who delayed it.")
    console.print("For a service of your own (send it requests, then stop it):")
    console.print("  whywait run -- uvicorn your_module:app", "  whywait report traces --html report.html", sep="\n")


def _cost(plan: Plan, console: Console) -> list[Cost]:
    with console.status("overhead of tracing: the service untraced and traced, interleaved"):
        return measure_cost(plan.folder / "cost", plan.loop, FULL_TURNS if plan.full else SHORT_TURNS, lambda: None)


def _print_verdicts(modes: Sequence[str], plan: Plan, verdicts: Sequence[Any], console: Console) -> None:
    """The verdict of each mode at the most clients, where waits are longest."""
    told = {one.endpoint: one.text for one in verdicts}
    for mode in modes:
        name = label(mode, plan.clients[-1])
        if name in told:
            console.print(Text("\n" + told[name]))  # it begins with the name


def _empty_folder(folder: Path) -> Path:
    traces = folder / "traces"
    try:
        traces.mkdir(parents=True, exist_ok=True)
        if any(traces.iterdir()):
            raise StoryError(f"{traces} holds traces of an earlier run; choose another --output or remove it")
    except OSError as error:
        raise StoryError(f"{folder} cannot be used ({error.strerror}); choose another --output") from error
    return traces


def _measure(plan: Plan, traces: Path, console: Console) -> list[LoadResult]:
    server = ServerPlan(plan.port, plan.loop, traces, plan.folder / "server.log", {"WHYWAIT_OUTPUT_GZIP": "1"})
    what = "starting the service (it trains two models)"
    with console.status(what) as status:
        begun_s = time.monotonic()
        with running(server, lambda: status.update(f"{what} … {time.monotonic() - begun_s:.0f} s")) as url:
            console.print(f"The service is up at {url} after {time.monotonic() - begun_s:.1f} s, traced.")
            results = run_until_interrupted(lambda: _drive(plan, url, traces, console, status.update))
            status.update("stopping the service")
    return sorted(results, key=lambda one: (plan.modes.index(one.mode), one.clients))


async def _drive(plan: Plan, url: str, traces: Path, console: Console, show: Callable[[str], None]) -> list[LoadResult]:
    results: list[LoadResult] = []
    cells = in_order(plan.modes, plan.clients)
    first = opening(plan.modes, plan.clients)
    async for result in drive_cells(cells, plan.bounds, url, traces, show):
        results.append(result)
        failed = f", {result.failures} failed ({result.first_failure})" if result.failures else ""
        took_s = (result.ended_ns - result.started_ns) / 1e9
        told = f"  {len(results)}/{len(cells)}  {label(result.mode, result.clients)}"
        console.print(Text(f"{told}: {len(result.latencies_ns)} answers in {took_s:.1f} s{failed}"))
        if first and len(results) == len(first):
            show("the first answer")
            _first_answer(plan, results, traces, console)
    return results


def _first_answer(plan: Plan, results: Sequence[LoadResult], traces: Path, console: Console) -> None:
    """Threads against a batch, as soon as both were driven: the rest of the story takes minutes."""
    analysis = only_cells(analyze(load_traces(traces)), results)
    cells = cells_of(analysis, results)
    console.print(Text("\n" + felt_text(cells), style="bold"))
    _print_verdicts((cells[0].mode,), plan, verdict(analysis), console)
    found = comparison(cells)
    if found is not None:
        console.print(Text("\n" + comparison_text(found), style="bold"))
    console.print("\nThe other ways to do the same:" if len(plan.modes) * len(plan.clients) > len(cells) else "")


if __name__ == "__main__":
    sys.exit(main(plan_of(sys.argv[1:])))
