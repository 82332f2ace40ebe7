"""The committed page, from the figures in truth.json and truth_mutations.json; no number is typed by hand."""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.truth import baselines, plan, targets, usable
from benchmarks.truth.felt import felt_lines
from benchmarks.truth.program_scores import ALLOWED_NS, ALLOWED_SHARE
from whywait.analysis.causes import CAUSES

NOTES: Final = Path(__file__).with_name("notes.toml")  # why a target is not reached, and what was tried
Table = Mapping[str, Any]


def page(told: Table, broken: Table | None) -> str:
    """The whole page; `broken` is what the mutation run found."""
    notes = tomllib.loads(NOTES.read_text())
    parts = (
        _head(told), _targets(told), felt_lines(told["felt"]), _rivals(told), _pictures(), _faults(told), _short(told, notes),
        _confusion(told), _pairs(told), _beside(told), _nulls(told), _programs(told), _calibration(told),
        _mutations(broken, notes), _rules(),
    )  # fmt: skip
    return "\n".join(line for part in parts for line in part).rstrip() + "\n"


def _head(told: Table) -> Iterator[str]:
    here, units = told["conditions"], told["units"]
    yield "# Why was this request slow? Answers held against known truth\n"
    yield "Made by `python -m benchmarks.truth` (all), `--quick` (a slice), `--mutations`; figures in truth.json."
    yield "Each fault is a function that slows requests of a real FastAPI service under uvicorn and traffic, and"
    yield "notes by itself, apart from the tracer, what it truly did to each of them; rules at the end.\n"
    yield f"- {here['day']}, Python {here['python']}, {here['cpus']} CPUs, {here['machine']}, {here['system']};"
    yield f"  load average at the end {', '.join(str(one) for one in here['load'])}"
    yield "- " + ", ".join(f"{name} {version}" for name, version in here["packages"].items())
    truth = "a native yardstick" if here["yardstick"] else "the kernel's accounting"
    yield f"- {told['requests']:,} requests; {units['done']} of {units['planned']} runs of the service; the GIL's truth by {truth}"
    for one in units["failed"]:
        yield f"- a run failed: {one}"
    yield ""


def _targets(told: Table) -> Iterator[str]:
    yield "## Targets\n"
    yield "| | target | found | |"
    yield "|---|---|---|---|"
    for what, target, found, is_reached in targets.reached(told):
        yield f"| {what} | {target} | {found} | {'reached' if is_reached else '**not reached**'} |"
    yield ""


def _rivals(told: Table) -> Iterator[str]:
    whole = told["all"]
    yield "## The same traces, read by simpler rules\n"
    yield "| | cause, of single faults | culprit | larger of two causes | cause off the path blamed |"
    yield "|---|---:|---:|---:|---:|"
    beside = told["beside"]
    both = told["pairs"]["both"]
    yield (
        f"| **whywait** | {share(whole['cause'])} | {share(whole['culprit'])} | "
        f"{share(both)} (both) | {share(beside['blamed'])} |"
    )
    for rule in baselines.RULES:
        own = whole["baselines"][rule]
        yield (
            f"| {_RULE_WORDS[rule]} | {share(own['cause'])} | {share(own['culprit'])} | "
            f"{share(_of_pairs(told, rule))} | {share(beside['baselines'][rule])} |"
        )
    yield ""
    yield "They see what OpenTelemetry gives without us: the SERVER span, FastAPI's spans, and a span around each"
    yield "function that a developer would have wrapped. Their span is read as each cause that function can have by"
    yield "itself, the most generous way; a culprit in another request's trace, or in no span, they cannot name."
    yield "Profilers and loop monitors (py-spy, ddtrace, aiocop and others) are not in the table: they tell of a"
    yield "process or a loop, not of one request, so that there is nothing in them to score by these rules.\n"


_RULE_WORDS: Final = {
    "self time": "largest self time of ordinary spans",
    "critical path": "Jaeger's critical path over ordinary spans",
    "longest span": "the longest ordinary span",
}


def _of_pairs(told: Table, rule: str) -> float | None:
    of = [(one["scored"], one["baselines"][rule]) for one in told["pairs"]["each"].values() if one["scored"]]
    total = sum(count for count, _ in of)
    return sum(count * share for count, share in of) / total if total else None


def _pictures() -> Iterator[str]:
    yield "![cause named first, by fault](truth_scores.svg)\n"
    yield "![error by fault, against the targets](truth_errors.svg)\n"


def _faults(told: Table) -> Iterator[str]:
    yield "## Each fault\n"
    yield "Over all intensities, seeds and both loops. Error: told amount less true amount of the true cause."
    yield "Left out: requests that the injection did not slow, or that something else (a busy machine) slowed more.\n"
    yield (
        "| fault | what is injected | true cause | scored | left out | cause first | culprit | file:line | "
        "error p50 ms | error p95 ms | unexplained p50 |"
    )
    yield "|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    for name, one in told["faults"].items():
        if one["why_not_run"]:
            yield f"| {name} | {one['about']} | {one['cause_meant']} | not run: {one['why_not_run']} | | | | | | | |"
            continue
        yield (
            f"| {name} | {one['about']} | `{one['cause_meant']}` | {one['scored']} | "
            f"{sum(one['left_out'].values())} | {share(one['cause'])} | {share(one['culprit'])} | "
            f"{share(one['place'])} | {number(one['error_ms_p50'])} ({_percent(one['error_share_p50'])}) | "
            f"{number(one['error_ms_p95'])} ({_percent(one['error_share_p95'])}) | "
            f"{share(one['unexplained_p50'])} |"
        )
    yield ""
    yield "| | scored | cause first | culprit | file:line | error p50 ms | error p95 ms |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for words, of in (*told["by_loop"].items(), *told["by_intensity"].items(), ("all", told["all"])):
        yield (
            f"| {words} | {of['scored']} | {share(of['cause'])} | {share(of['culprit'])} | "
            f"{share(of['place'])} | {number(of['error_ms_p50'])} | {number(of['error_ms_p95'])} |"
        )
    yield ""


def _short(told: Table, notes: Table) -> Iterator[str]:
    yield "## Where a target is not reached\n"
    why = notes["faults"]
    for name, one in told["faults"].items():
        found = targets.short_of(one)
        if found:
            yield f"- **{name}**: {'; '.join(found)}. {why.get(name, 'Not looked into yet.')}"
            if one["missed_in"]:
                yield f"  Missed in: {', '.join(one['missed_in'])}."
    accused = told["nulls"]["cells_accused_falsely"]
    if accused is not None and accused > targets.NULLS:
        yield f"- **healthy services**: {share(accused)} accused falsely. {notes['healthy']}"
    yield ""


def _confusion(told: Table) -> Iterator[str]:
    table = told["confusion"]
    columns = [cause for cause in map(str, CAUSES) if any(cause in of for of in table.values())]
    yield "## What is taken for what\n"
    yield "Requests with a single fault, by true cause (rows) and the cause told first (columns).\n"
    yield "| true \\ told | " + " | ".join(columns) + " |"
    yield "|---|" + "---:|" * len(columns)
    for cause, of in table.items():
        cells = (f"**{of[one]}**" if one == cause and one in of else str(of.get(one, "")) for one in columns)
        yield f"| {cause} | " + " | ".join(cells) + " |"
    yield ""


def _pairs(told: Table) -> Iterator[str]:
    pairs = told["pairs"]
    yield "## Two causes in one request\n"
    yield f"Both are the two largest amounts in {share(pairs['both'])} of {pairs['scored']} requests."
    yield f"Left out: {_counts(pairs['left_out'])}.\n"
    yield "| pair | scored | both found |"
    yield "|---|---:|---:|"
    for name, one in pairs["each"].items():
        yield f"| {name.replace('+', ', then ')} | {one['scored']} | {share(one['both'])} |"
    yield ""


def _beside(told: Table) -> Iterator[str]:
    beside = told["beside"]
    yield "## A slow cause off the critical path\n"
    yield "The fault runs beside a timer that ends later: nobody waits for it."
    yield f"Blamed in {share(beside['blamed'])} of {beside['scored']} requests; the timer is told first in"
    yield f"{share(beside['timer_first'])}. Blamed at all: {_counts(beside['blamed_which'])}."
    yield ""


def _nulls(told: Table) -> Iterator[str]:
    nulls = told["nulls"]
    yield "## Healthy services\n"
    yield f"{nulls['cells']} runs of healthy services of several shapes, {nulls['requests']} requests. The verdict"
    yield f"accuses {share(nulls['cells_accused'])} of the runs; {share(nulls['cells_accused_falsely'])} falsely: the others lacked a"
    yield "CPU or the GIL indeed, by the kernel's and the yardstick's figures for the service's threads without the"
    yield "tracer's own, or were stopped by the collector."
    yield f"Single requests with any wait of 1 ms and 5%: {share(nulls['requests_with_a_wait'])}"
    yield f"({_shares(nulls['waits'])})."
    for one in nulls["false"]:
        causes = ", ".join(f"{cause} {ms:.2f} ms per request" for cause, ms in one["causes"].items())
        yield f"- {one['shape']}, {one['loop']}, seed {one['seed']}: {causes}"
    yield ""


def _programs(told: Table) -> Iterator[str]:
    of = told["programs"]
    yield "## Programs that nobody tuned for\n"
    yield f"{of['programs']} programs drawn from a grammar (benchmarks/truth/grammar.py), each twice at once:"
    yield f"{share(of['right'])} of {of['scored']} requests within the allowance ({ALLOWED_SHARE:.0%} of the wall time or"
    yield f"{ALLOWED_NS / 1e6:.0f} ms under wrong causes, and the first cause first where one leads). Wall time under wrong causes:"
    yield f"{share(of['wrong_share_p50'])} at the median, {share(of['wrong_share_p95'])} at p95; unexplained {share(of['unexplained_p50'])} at the median."
    if of["failed"]:
        yield "To see one again: `python -m benchmarks.truth` with\n"
        for one in of["failed"]:
            yield f"- `{one}`"
    yield ""


def _calibration(told: Table) -> Iterator[str]:
    of = told["calibration"]
    yield "## When it says ± x, is it?\n"
    yield f"{of['stated']} amounts came with a standard error: the truth lies within one of it in"
    yield f"{share(of['within_1'])} (expected 68%), within two in {share(of['within_2'])} (expected 95%)."
    yield f"{of['without']} amounts came without: {share(of['without_within_target'])} of them are right to"
    yield f"{targets.MEDIAN_WORDS}."
    yield ""


def _mutations(broken: Table | None, notes: Table) -> Iterator[str]:
    if broken is None:
        return
    yield "## Which probe holds which answer\n"
    yield "Every fault with one probe taken out: what falls by half or more below the lowest of three runs with all of"
    yield "them, and does so twice. The quick slice is part of the tests; the last column says whether it tells.\n"
    yield "| without | what falls | told by the quick slice |"
    yield "|---|---|---|"
    for probe, one in broken["probes"].items():
        falls = ", ".join(_fall(fall) for fall in one["falls"])
        why = notes["probes"].get(probe, "")
        yield f"| {probe} | {falls or 'nothing. ' + why} | {'yes' if one['quick_tells'] else 'no'} |"
    yield ""


def _fall(of: Table) -> str:
    what = "file:line" if of["measure"] == "place" else of["measure"]
    instead = f", told {of['taken_for']}" if of["taken_for"] else ""
    return f"{of['fault']} ({what} {of['from']:.0%} → {of['to']:.0%}{instead})"


def _rules() -> Iterator[str]:
    yield "## Rules\n"
    yield "- **Truth.** Each fault stamps what it did: sleeps and computing less what the thread lacked of CPU"
    yield "  (`schedstat`), GIL (a preloaded yardstick) and collections (`gc.callbacks`); locks, tokens and workers by the"
    yield "  holder's own stamps of its release; a blocked loop by the blocker's. It is written apart from the tracer and"
    yield "  joined to the trace by an id in the request's path. Of a computing fault the request's other computing on its"
    yield "  way in and out, by the loop's own CPU clock, is true, too. Where there is no CuPy the device is a recorded one."
    yield f"- **Scored** is a request in which the injected cause truly was at least {usable.LEAST_NS / 1e6:.0f} ms and {usable.CLEARLY} times"
    yield "  each other cause and all that was not measured, so that the right answer is beyond doubt. All others are"
    yield "  left out and counted."
    yield "- **Cause first**: the largest of all amounts that whywait told of that request, computing and `unexplained`"
    yield "  among them. **Culprit**: the chief culprit of that cause is the function that did it (or one that was on the"
    yield "  stack with it all the while), of the right other request where it was another's; **file:line** lies within it."
    yield "- **Phase** (computing faults whose library has an adapter): the phase told first is the true one."
    yield "- **Accused falsely**: the verdict names a cause for a healthy endpoint, which takes at least 5% of its wall time"
    yield "  and 1 ms per request (the verdict's own floor), and the benchmark's own figures do not confirm it. They confirm"
    yield "  that the loop was busy where the collector of garbage stopped it for that long."
    for line in (baselines.__doc__ or "").splitlines()[2:]:
        if line.startswith("* "):
            yield f"- {line[2:]}"
        elif line.strip():
            yield f"  {line.strip()}" if not line.startswith("They") else f"- {line.strip()}"
    yield f"- {len(plan.SEEDS)} seeds, both loops; amounts vary by 15% around each of three intensities."
    yield ""


def share(value: float | None) -> str:
    """Return it in percent; a dash where nothing was scored."""
    return "–" if value is None else f"{value:.1%}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"


def number(value: float | None) -> str:
    """Return it with two places; a dash where nothing was scored."""
    return "–" if value is None else f"{value:.2f}"


def _counts(of: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in of.items()) or "none"


def _shares(of: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {share:.1%}" for name, share in of.items()) or "none"
