"""The tables of the page, from the records of all requests. Pure."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from benchmarks.truth import matching, plan, usable
from benchmarks.truth.baselines import READS_AS, RULES
from benchmarks.truth.fault import FAULTS, INTENSITIES
from benchmarks.truth.felt import MS, felt, percentile
from benchmarks.truth.program_scores import score_programs
from whywait.analysis.causes import Cause

Record = Mapping[str, Any]
Table = dict[str, Any]
ACCUSED_SHARE, ACCUSED_NS = 0.05, 1_000_000  # as the verdict has it
CONFIRMED: Final = 1.25  # the kernel's own figure may be so much smaller than what is accused


def score(records: Sequence[Record]) -> Table:
    """Everything the page tells, as JSON values."""
    singles, left_out = _sorted_out([one for one in records if one["kind"] == plan.FAULT], usable.why_not_single)
    by_fault = _grouped(singles, lambda one: one["name"])
    return {
        "requests": len([one for one in records if "request" in one]),
        "felt": felt(records),
        "faults": {name: _fault(name, by_fault.get(name, []), left_out[name]) for name in FAULTS},
        "all": _summary(singles),
        "by_loop": {loop: _summary(of) for loop, of in _grouped(singles, lambda one: one["loop"]).items()},
        "by_intensity": {
            one: _summary([single for single in singles if single["intensity"] == one]) for one in INTENSITIES
        },
        "confusion": _confusion(singles),
        "pairs": _pairs([one for one in records if one["kind"] == plan.PAIR]),
        "beside": _beside([one for one in records if one["kind"] == plan.BESIDE]),
        "nulls": _nulls(records),
        "programs": score_programs([one for one in records if one["kind"] == plan.PROGRAM]),
        "calibration": _calibration(singles),
    }


def _grouped(records: Iterable[Record], by: Callable[[Record], str]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = defaultdict(list)
    for one in records:
        found[by(one)].append(one)
    return dict(found)


def _sorted_out(
    records: Sequence[Record], why_not: Callable[[Record], str]
) -> tuple[list[Record], dict[str, Counter[str]]]:
    scored, left_out = [], defaultdict[str, Counter[str]](Counter)
    for one in records:
        why = why_not(one)
        if why:
            left_out[one["name"]][why] += 1
        else:
            scored.append(one)
    return scored, left_out


def told_ns(record: Record, cause: str) -> int:
    """What whywait said of a cause."""
    return int(record["causes"].get(cause, {"ns": 0})["ns"])


def told_first(record: Record) -> str:
    """The cause with the largest amount; nothing is left out, computing and `unexplained` neither."""
    return max(record["causes"], key=lambda cause: told_ns(record, cause), default="")


def _share(of: Iterable[bool]) -> float | None:
    values = list(of)
    return sum(values) / len(values) if values else None


def _true_part(record: Record) -> Any:
    cause = FAULTS[record["name"]].cause
    return next(one for one in usable.parts_of(record) if one.cause == cause)


def _summary(records: Sequence[Record]) -> Table:
    true = [_true_part(one) for one in records]
    told = [told_ns(one, part.cause) for one, part in zip(records, true, strict=True)]
    errors = [abs(said - part.ns) for said, part in zip(told, true, strict=True)]
    named = [(one, part) for one, part in zip(records, true, strict=True) if part.who is not None]
    placed = [(one, part) for one, part in named if matching.has_place(part.who)]
    return {
        "scored": len(records),
        "cause": _share(told_first(one) == part.cause for one, part in zip(records, true, strict=True)),
        "culprit": _share(matching.is_named(part.who, one["culprits"].get(part.cause)) for one, part in named),
        "place": _share(matching.is_placed(part.who, one["culprits"].get(part.cause)) for one, part in placed),
        "error_ms_p50": percentile([one / MS for one in errors], 50),
        "error_ms_p95": percentile([one / MS for one in errors], 95),
        "error_share_p50": percentile([e / part.ns for e, part in zip(errors, true, strict=True)], 50),
        "error_share_p95": percentile([e / part.ns for e, part in zip(errors, true, strict=True)], 95),
        # 1 is the target's edge
        "of_target_p50": percentile([e / max(MS, 0.05 * part.ns) for e, part in zip(errors, true, strict=True)], 50),
        "of_target_p95": percentile(
            [e / max(2 * MS, 0.15 * part.ns) for e, part in zip(errors, true, strict=True)], 95
        ),
        "unexplained_p50": percentile([told_ns(one, Cause.UNEXPLAINED) / one["wall_ns"] for one in records], 50),
        "baselines": {
            rule: {
                "cause": _share(
                    part.cause in READS_AS.get(one["spans"][rule], ()) for one, part in zip(records, true, strict=True)
                ),
                "culprit": _share(one["spans"][rule] == part.who.name and not part.who.request for one, part in named),
            }
            for rule in RULES
        },
    }


def _fault(name: str, records: Sequence[Record], left_out: Counter[str]) -> Table:
    of = FAULTS[name]
    missed = Counter(told_first(one) for one in records if told_first(one) != of.cause)
    seeds = [f"{one['loop']} {one['intensity']} seed {one['seed']}" for one in records if told_first(one) != of.cause]
    return {
        "cause_meant": str(of.cause),
        "about": of.about,
        "family": of.family,
        "left_out": dict(left_out),
        "taken_for": dict(missed.most_common()),
        "missed_in": sorted(set(seeds))[:5],
        "why_not_run": of.why_not_here(),
        "phase": _share(one["phase"] == of.phase for one in records) if of.phase else None,
        **_summary(records),
    }


def _confusion(records: Sequence[Record]) -> dict[str, dict[str, int]]:
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for one in records:
        found[str(FAULTS[one["name"]].cause)][told_first(one)] += 1
    return {cause: dict(of) for cause, of in sorted(found.items())}


def _pairs(records: Sequence[Record]) -> Table:
    scored, left_out = _sorted_out(records, usable.why_not_pair)

    def both(one: Record) -> bool:
        first_two = sorted(one["causes"], key=lambda cause: -told_ns(one, cause))[:2]
        return set(first_two) == {str(FAULTS[name].cause) for name in one["name"].split("+")}

    table = {
        name: {
            "scored": len(of),
            "both": _share(map(both, of)),
            "left_out": dict(left_out[name]),
            "baselines": {
                rule: _share(  # it names one span: the larger of the two is asked for
                    usable.parts_of(one)[0].cause in READS_AS.get(one["spans"][rule], ()) for one in of
                )
                for rule in RULES
            },
        }
        for name, of in sorted(_grouped(scored, lambda one: one["name"]).items())
    }
    return {
        "scored": len(scored),
        "both": _share(map(both, scored)),
        "left_out": dict(sum(left_out.values(), Counter())),
        "each": table,
    }


def _beside(records: Sequence[Record]) -> Table:
    scored, left_out = _sorted_out(records, usable.why_not_beside)

    def blamed(one: Record) -> bool:
        ns = told_ns(one, one["hidden"])
        return ns >= ACCUSED_NS and ns >= ACCUSED_SHARE * one["wall_ns"]

    return {
        "scored": len(scored),
        "blamed": _share(map(blamed, scored)),
        "timer_first": _share(told_first(one) == Cause.AWAIT_IO for one in scored),
        "blamed_which": dict(Counter(one["name"] for one in scored if blamed(one))),
        "left_out": dict(sum(left_out.values(), Counter())),
        "baselines": {
            rule: _share(one["hidden"] in READS_AS.get(one["spans"][rule], ()) for one in scored) for rule in RULES
        },
    }


def _nulls(records: Sequence[Record]) -> Table:
    requests = [one for one in records if one["kind"] == plan.NULL and one["found"]]
    verdicts = [one for one in records if one["kind"] == "null verdict"]

    def false_of(verdict: Record) -> dict[str, int]:
        kernel = {
            Cause.CPU_WAIT: "queued_ns", Cause.GIL_WAIT: "gil_ns", Cause.GC_PAUSE: "gc_ns",
            Cause.LOOP_BUSY: "gc_ns",  # the collector stops the loop for all: within one request, and before the others
        }  # fmt: skip
        return {
            cause: ns
            for cause, ns in verdict["accused"].items()
            if cause not in kernel or ns > CONFIRMED * verdict[kernel[Cause(cause)]]
        }

    def accused(one: Record) -> list[str]:
        return [
            cause
            for cause in one["causes"]
            if Cause(cause).info.is_reason and told_ns(one, cause) >= max(ACCUSED_NS, ACCUSED_SHARE * one["wall_ns"])
        ]

    each = Counter(cause for one in requests for cause in accused(one))
    return {
        "cells": len(verdicts),
        "cells_accused": _share(bool(one["accused"]) for one in verdicts),
        "cells_accused_falsely": _share(bool(false_of(one)) for one in verdicts),
        "false": [
            {"shape": one["name"], "loop": one["loop"], "seed": one["seed"],
             "causes": {cause: ns / MS / one["requests"] for cause, ns in false_of(one).items()}}
            for one in verdicts if false_of(one)
        ],
        "requests": len(requests),
        "requests_with_a_wait": _share(bool(accused(one)) for one in requests),
        "waits": {str(cause): count / max(len(requests), 1) for cause, count in each.most_common()},
        "unexplained_p50": percentile(
            [told_ns(one, Cause.UNEXPLAINED) / one["wall_ns"] for one in requests], 50
        ),
    }  # fmt: skip


def _calibration(records: Sequence[Record]) -> Table:
    """Of amounts that state a standard error: how often the truth lies within one and two of it."""
    apart = []
    observed = []
    for one in records:
        part = _true_part(one)
        said = one["causes"].get(part.cause)
        if said is None:
            continue
        error = abs(said["ns"] - part.ns)
        if said["error_ns"] > 0:
            apart.append(error / said["error_ns"])
        else:
            observed.append(error <= max(MS, 0.05 * part.ns))
    return {
        "stated": len(apart),
        "within_1": _share(one <= 1 for one in apart),
        "within_2": _share(one <= 2 for one in apart),
        "without": len(observed),
        "without_within_target": _share(observed),
    }
