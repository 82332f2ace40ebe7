"""The figures of the README's section on accuracy and cost, from the committed pages; `python -m benchmarks.derived` writes them."""

import json
import re
import textwrap
from collections import Counter
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
README: Final = ROOT / "README.md"
RESULTS: Final = ROOT / "benchmarks/results"
# of the overhead page, in the order of the README's columns
VARIANTS: Final = {
    "whywait, slow kept": "whywait, slow kept, native core",
    "all kept": "whywait, all kept, native core",
    "with the Python core, slow kept": "whywait, slow kept",
    "all kept ": "whywait, all kept",
    "FastAPI's own spans alone": "server spans",
    "OpenTelemetry": "otel",
    "ddtrace": "ddtrace",
}


def readme() -> str:
    """Return the README with its figures as the pages have them."""
    text = README.read_text()
    for name, said in {"accuracy": accuracy(), "overhead": overhead(), "prediction": prediction()}.items():
        begin, end = f"<!-- {name}: written by python -m benchmarks.derived -->\n", f"<!-- end of {name} -->\n"
        before, _, rest = text.partition(begin)
        text = f"{before}{begin}{said}\n{end}{rest.partition(end)[2]}"
    return text


def accuracy() -> str:
    """Return what was right against known truth, and of the street's programs."""
    page = (RESULTS / "truth.md").read_text()
    found = dict(re.findall(r"^\| ([^|]+) \| [^|]+ \| ([^|]+) \|", page, re.MULTILINE))
    requests, day = re.findall(r"^- ([\d,]+) requests", page, re.MULTILINE)[0], re.findall(r"\d{4}-\d\d-\d\d", page)[0]
    faults = found["faults with a p95 error ≤ max(2 ms, 15%)"]
    told = json.loads((RESULTS / "street.json").read_text())
    grades = {
        loop: Counter(one[loop]["grade"] for one in told["programs"].values() if loop in one)
        for loop in ("asyncio", "uvloop")
    }
    one, other = grades["asyncio"], grades["uvloop"]
    return textwrap.fill(
        f"{faults.split()[2]} kinds of delay are injected into a real service, which measures by itself what they did to each "
        f"request. Of {requests} requests the true cause was named first in {found['single cause named first']}, the culprit "
        f"with file and line in {found['its file and line named']}, and of the healthy services "
        f"{found['healthy services accused']} were accused; the amount's error keeps its bound at p95 in {faults} "
        f"([benchmarks/results/truth.md](benchmarks/results/truth.md), {day}). These programs are our own. Small programs "
        f"made after kinds of public bug reports, with the real libraries, are harder: of {one.total()}, held against their "
        "own stamps by one written rule, the first reason was right in all (cause, function, amount, remedy) in "
        f"{one['right']}, in part in {one['partly']}, and wrong in {one['wrong']} (asyncio; on uvloop, of {other.total()}, "
        f"{other['right']}, {other['partly']} and {other['wrong']}: "
        "[benchmarks/results/street.md](benchmarks/results/street.md), whose programs were run on several days, the last "
        f"on {told['conditions']['day']}).",
        120, break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def overhead() -> str:
    """Return the table of what tracing costs."""
    page = (RESULTS / "overhead.md").read_text()
    day = re.findall(r"\d{4}-\d\d-\d\d", page)[0]
    lines = [f"Measured on {day}:", "", "| a request of " + "".join(f"| {name.strip()} " for name in VARIANTS) + "|"]
    lines.append("|---|" + "---:|" * len(VARIANTS))
    for title in ("8 trivial pool jobs", "8 XGBoost predicts"):
        part = page.partition(f"## A request of {title}")[2].partition("\n## ")[0]
        rows = re.findall(r"^\| ([^|]+) \| [^|]+ \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", part, re.MULTILINE)
        found = {name: (float(ms), float(ratio), float(cpu)) for name, ms, ratio, cpu in rows}
        ratios, cpus = zip(*(found[one][1:] for one in VARIANTS.values()), strict=True)
        lines.append(
            f"| {title} ({found['untraced'][0]:.2g} ms) | " + " | ".join(f"{one:.2f}×" for one in ratios) + " |"
        )
        lines.append(
            "| its CPU time | " + " | ".join(f"{one:.1f}×" if one < 10 else f"{one:.0f}×" for one in cpus) + " |"
        )
    return "\n".join(lines)


def prediction() -> str:
    """Return one predicted change and what was measured after it."""
    page = (RESULTS / "whatif.md").read_text()
    row = re.findall(r"^\| sleep4-sleep8: [^|]+\| ([^|]+) \| [^|]+ \| ([^|]+) \|", page, re.MULTILINE)[0]
    before, told, interval, done = re.match(r"([\d.]+) → ([\d.]+) \(([^)]+)\) → ([\d.]+)", row[0]).groups()  # type: ignore[union-attr]
    rate, done_rate = re.match(r"[\d.]+ → ([\d.]+) \([^)]+\) → ([\d.]+)", row[1]).groups()  # type: ignore[union-attr]
    made, refused = re.findall(r"^\| predictions, and refused \|[^|]*\| (\d+), (\d+)", page, re.MULTILINE)[0]
    return textwrap.fill(
        f"A pool of 4 whose jobs sleep, 12 clients, `whywait whatif traces --pool work=8`: p50 {before} → {told} ms ({interval}), "
        f"{rate} requests/s. Then it was done: {done} ms, {done_rate} requests/s "
        f"([{int(made) + int(refused)} changes made for real](benchmarks/results/whatif.md)).",
        120, break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
